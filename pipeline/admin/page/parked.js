// What waits for a person, by reason; the entities of one reason in pages.
import { $, attribute, each, h, prose, text } from "./dom.js";
import { act, confirm, say } from "./dialog.js";
import { get, post } from "./api.js";
import { count, moment, none, plural, words } from "./format.js";
import { groups } from "./model.js";

const PAGE = 50;
// These are solved by a change of the rows, never by a retry.
const stubborn = new Set(["evaluation_error", "duplicate_key", "incomplete_row"]);

let advice = null; // reason -> {means, fix}, asked once
function advise(reason, into) {
  advice ??= get("parked/reasons");
  advice.then((all) => prose(into, all[reason] ? `${all[reason].means} ${all[reason].fix}` : ""), () => { advice = null; });
}

const query = (q) => new URLSearchParams(Object.entries(q).filter(([, v]) => v !== "" && v !== null && v !== undefined)).toString();
const identity = (e) => ({ kind: e.key.kind, organization: e.key.organization, key: e.key.entity });
const named = (e) => (e.key.kind === "organization" ? `organization ${e.key.organization}` : `member ${e.key.entity} of ${e.key.organization}`);

function entityRow(e, open) {
  const retry = h("button", { type: "button", "aria-label": `Retry ${named(e)}` }, "Retry");
  const drop = h("button", { type: "button", class: "danger", "aria-label": `Drop ${named(e)}` }, "Drop…");
  const look = h("button", { type: "button", "aria-label": `History of ${named(e)}` }, "History");
  retry.hidden = stubborn.has(e.reason) || e.status === "blocked";
  drop.hidden = e.status === "blocked";
  retry.addEventListener("click", () => act(retry, () => post("parked/retry", identity(e)), `${named(e)} is tried again.`));
  drop.addEventListener("click", async () => {
    if (await confirm(`Drop ${named(e)}?`, "Its change is given up: Stytch keeps what it has, until the row changes again. The drop is recorded in the ledger.", "Drop")) {
      await act(drop, () => post("parked/drop", identity(e)), `${named(e)} is dropped.`);
    }
  });
  look.addEventListener("click", () => open(e.key));
  return h("tr", null, h("th", { scope: "row", class: "mono wrap" }, e.key.kind === "organization" ? "organization" : e.key.entity), h("td", { class: "mono wrap" }, e.key.organization),
    h("td", { class: "wrap" }, e.detail || none), h("td", { class: "n" }, count(e.attempts)), h("td", { class: "soft" }, e.committed_at ? moment(e.committed_at) : none),
    h("td", null, h("div", { class: "buttons" }, look, retry, drop)));
}

function group(first, open) {
  const [n, hint] = [h("span", { class: "n" }), h("p", { class: "hint" })];
  advise(first.reason, hint);
  const list = h("div", { class: "scroll", hidden: true });
  const toggle = h("button", { type: "button", class: "disclose", "aria-expanded": "false" }, h("b", null, words(first.reason || first.status)), first.status === "blocked" ? h("span", { class: "soft" }, " blocked") : null);
  const retry = h("button", { type: "button", "aria-label": `Retry all with ${words(first.reason)}` }, "Retry all");
  retry.hidden = stubborn.has(first.reason) || first.status === "blocked";
  retry.addEventListener("click", () => act(retry, () => post("parked/retry", { reason: first.reason }), (done) => `${plural(done?.retried ?? 0, "entity is", "entities are")} tried again.`));
  let at = 0;
  async function load() {
    try {
      const answer = await get(`parked?${query({ reason: first.reason, status: first.status, limit: PAGE, offset: at })}`);
      const found = (Array.isArray(answer) ? answer : answer.parked || []).filter((e) => e.status === first.status);
      const [back, on] = [h("button", { type: "button" }, "Earlier"), h("button", { type: "button" }, "Later")];
      back.disabled = at === 0;
      on.disabled = found.length < PAGE;
      back.addEventListener("click", () => { at = Math.max(0, at - PAGE); load(); });
      on.addEventListener("click", () => { at += PAGE; load(); });
      list.replaceChildren(h("table", null, h("caption", { class: "unseen" }, `Entities with ${words(first.reason)}`),
        h("thead", null, h("tr", null, ["Key", "Organization", "Detail", "Attempts", "Committed", "Actions"].map((t) => h("th", { scope: "col", class: t === "Attempts" ? "n" : null }, t)))),
        h("tbody", null, found.map((e) => entityRow(e, open)))),
      h("div", { class: "pager" }, back, h("span", { class: "soft" }, found.length ? `${count(at + 1)}–${count(at + found.length)} of ${count(first.organization + first.member)}` : "none left"), on));
    } catch (e) {
      say(`The entities cannot be listed: ${e.message}`, true);
    }
  }
  toggle.addEventListener("click", () => {
    const show = list.hidden;
    list.hidden = !show;
    attribute(toggle, "aria-expanded", String(show));
    if (show) load();
  });
  document.addEventListener("acted", () => { if (!list.hidden && list.isConnected) load(); });
  return {
    el: h("li", null, h("div", { class: "group" }, toggle, n, retry, hint), list),
    update(g) {
      first = g;
      text(n, [[g.organization, "organization"], [g.member, "member"]].filter(([c]) => c).map(([c, one]) => plural(c, one)).join(", "));
    },
  };
}

const list = h("ul", { class: "groups" });
const empty = h("p", { class: "empty" }, "Nothing is parked.");

export function showParked(summary, open) {
  if (!list.isConnected) $("parked-body").append(list, empty);
  const all = groups(summary);
  each(list, all, (g) => g.key, (g) => group(g, open));
  empty.hidden = all.length > 0;
  const parked = all.filter((g) => g.status === "parked").reduce((n, g) => n + g.organization + g.member, 0);
  const blocked = all.reduce((n, g) => n + g.organization + g.member, 0) - parked;
  text($("parked-note"), all.length ? `${count(parked)} parked, ${count(blocked)} wait for one of them. None holds up another entity.` : "");
  text($("nav-parked"), count(parked));
  $("nav-parked").hidden = parked === 0;
}
