// Questions that only a person may answer.
import { $, each, h, text } from "./dom.js";
import { act, confirm } from "./dialog.js";
import { path, post } from "./api.js";
import { moment, plural } from "./format.js";

const affected = (c) => [[c.organizations, "organization"], [c.members, "member"]].filter(([n]) => n > 0).map(([n, one]) => plural(n, one)).join(", ");

function row(first) {
  const [question, who, when] = [h("td", { class: "wide" }), h("td"), h("td", { class: "soft" })];
  const button = h("button", { type: "button", "aria-label": `Approve consent ${first.id}` }, "Approve…");
  button.addEventListener("click", async () => {
    const of = affected(first);
    if (await confirm(`Approve consent ${first.id}?`, `${first.question}${of ? ` This concerns ${of}.` : ""} It cannot be taken back.`, "Approve")) {
      await act(button, () => post(`consents/${path(first.id)}/approve`), `Consent ${first.id} is given.`);
    }
  });
  return {
    el: h("tr", null, h("th", { scope: "row", class: "n" }, String(first.id)), question, who, when, h("td", null, h("div", { class: "buttons" }, button))),
    update(c) {
      first = c;
      text(question, c.question);
      text(who, affected(c) || "the connector");
      text(when, moment(c.asked_at));
    },
  };
}

const body = h("tbody");
const table = h("div", { class: "scroll" }, h("table", null, h("caption", { class: "unseen" }, "Consents that are asked for"),
  h("thead", null, h("tr", null, ["Id", "Question", "Waiting", "Asked", "Actions"].map((t) => h("th", { scope: "col" }, t)))), body));
const empty = h("p", { class: "empty" }, "No question is open.");

export function showConsents(consents) {
  if (!table.isConnected) $("consents-body").append(table, empty);
  each(body, consents, (c) => c.id, row);
  table.hidden = consents.length === 0;
  empty.hidden = consents.length > 0;
  text($("nav-consents"), String(consents.length));
  $("nav-consents").hidden = consents.length === 0;
}
