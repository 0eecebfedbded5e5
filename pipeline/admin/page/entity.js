// The history of one entity: what came, what was planned, what Stytch said.
import { $, h } from "./dom.js";
import { get, path } from "./api.js";
import { count, moment, words } from "./format.js";

const organizationOf = (k) => k.organization;

function summary(e) {
  const facts = [["State", words(e.status) + (e.reason ? `, ${words(e.reason)}` : "")], ["Lane", e.lane], ["Revision", count(e.revision)], ["Applied", count(e.applied_revision)], ["Stytch id", e.stytch_id]];
  return h("dl", { class: "facts" }, facts.filter(([, v]) => v !== undefined && v !== null && v !== "").map(([k, v]) => h("div", null, h("dt", null, k), h("dd", null, String(v)))));
}

const steps = (list) => list.map(words).join(", then ");

// told turns an event into a title, a line and names of fields.
function told(e) {
  switch (e.event) {
    case "came":
      return { title: e.gone ? "Came: it is gone" : `Came: ${words(e.cause || "change")}${e.table ? ` of ${e.table}` : ""}`, line: [`revision ${e.revision}`, e.lane && `${e.lane} lane`, e.commit_lsn && `commit ${e.commit_lsn}`] };
    case "planned":
      return { title: e.steps?.length ? `Planned: ${steps(e.steps)}` : "Planned: nothing to call", line: [] };
    case "call":
      return { title: `Stytch: ${words(e.step || "call")}, ${words(e.outcome || "no outcome")}`, line: [e.http_status && `HTTP ${e.http_status}`, e.error_type, e.duration_ms && `${count(e.duration_ms)} ms`, e.request_id], failed: e.error_type || e.http_status >= 400 };
    default:
      return { title: `Ended: ${words(e.status || "")}${e.reason ? `, ${words(e.reason)}` : ""}`, line: (e.losses || []).map(words), failed: e.status === "parked" };
  }
}

function event(e) {
  const { title, line, failed } = told(e);
  const said = line.filter(Boolean).join(", ");
  return h("li", { "data-what": failed ? "failed" : e.event }, h("time", { datetime: e.at }, moment(e.at)),
    h("div", null, h("b", null, title), said ? h("p", { class: "soft wrap" }, said) : null, e.fields?.length ? h("p", { class: "fields" }, e.fields.map((f) => h("code", null, f))) : null));
}

async function show(key) {
  const body = $("entity-body");
  try {
    const known = await get(`entities/${path(key.kind, organizationOf(key), key.entity)}/history`);
    body.replaceChildren(...[h("h3", { tabindex: "-1" }, key.kind === "organization" ? `Organization ${key.organization}` : `Member ${key.entity} of ${key.organization}`),
      summary(known.entity), known.means ? h("p", { class: "advice" }, `${known.means} `, h("b", null, known.fix)) : null,
      known.events.length ? h("ol", { class: "history" }, known.events.map(event)) : h("p", { class: "empty" }, "Nothing was recorded yet. History reaches back 20 writes and 7 days.")].filter(Boolean));
    body.querySelector("h3").focus();
  } catch (e) {
    body.replaceChildren(h("p", { class: "empty" }, e.message));
  }
}

// open shows an entity's history from elsewhere on the page.
export function open(key) {
  $("entity").scrollIntoView();
  return show(key);
}

async function find(form) {
  const body = $("entity-body");
  const [key, organization] = [form.elements.key.value.trim(), form.elements.organization.value.trim()];
  try {
    const { entities } = await get(`entities?${new URLSearchParams({ key, organization })}`);
    if (entities.length === 1) return show(entities[0].key);
    body.replaceChildren(entities.length ? h("ul", { class: "found" }, entities.map((e) => {
      const go = h("button", { type: "button" }, `${e.key.kind} ${e.key.entity} of ${e.key.organization}`);
      go.addEventListener("click", () => show(e.key));
      return h("li", null, go, ` ${words(e.status)}`);
    })) : h("p", { class: "empty" }, `The ledger knows no entity with the key ${key}.`));
  } catch (e) {
    body.replaceChildren(h("p", { class: "empty" }, e.message));
  }
  return undefined;
}

export function startEntity() {
  $("entity-form").addEventListener("submit", (e) => {
    e.preventDefault();
    find(e.currentTarget);
  });
}
