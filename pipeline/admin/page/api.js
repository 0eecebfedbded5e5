// The REST interface, with the token of this tab where the address asks for one.

const TOKEN = "backstitch.token";
const PATIENCE = 8000; // ms

// Unreachable: nobody answered. Refused: somebody did, with a reason.
export class Unreachable extends Error {}
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let askToken = async () => "";
let asking = null;

// onToken says how a person is asked for a token; wrong is true from the second time on.
export const onToken = (ask) => { askToken = ask; };

function once() { // many requests that are refused at the same time ask once
  asking ??= askToken(sessionStorage.getItem(TOKEN) !== null).then((token) => {
    sessionStorage.setItem(TOKEN, token);
    asking = null;
  });
  return asking;
}

async function request(method, path, body) {
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (e) {
    throw new Unreachable(e.name === "TimeoutError" ? `no answer within ${PATIENCE / 1000} s` : "the connection failed");
  }
  if (answer.status === 401) {
    await once();
    return request(method, path, body);
  }
  const raw = await answer.text().catch(() => { throw new Unreachable("the connection broke off"); });
  let value = null;
  try { value = raw === "" ? null : JSON.parse(raw); } catch { /* text, such as an error of a proxy */ }
  if (!answer.ok) throw new Refused(answer.status, value?.message || raw.trim().slice(0, 300) || `HTTP ${answer.status}`);
  return value;
}

export const get = (path) => request("GET", path);
export const put = (path, body) => request("PUT", path, body);
export const post = (path, body) => request("POST", path, body);
export const path = (...parts) => parts.map((p) => encodeURIComponent(p)).join("/");
