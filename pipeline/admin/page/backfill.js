// How far the tables are read and the entities applied, and until when.
import { $, each, h, text, attribute } from "./dom.js";
import { count, duration, none, percent, plural, words } from "./format.js";
import { entities, total } from "./model.js";

function bar() {
  const [name, figures, left] = [h("span", { class: "what" }), h("span", { class: "figures" }), h("span", { class: "left" })];
  const progress = h("progress", { max: 1 });
  const el = h("li", { class: "bar" }, h("div", null, name, figures, left), progress);
  return {
    el,
    update(b) {
      text(name, b.name);
      text(figures, b.figures);
      text(left, b.left);
      attribute(progress, "aria-label", `${b.name}: ${b.figures}, ${b.left}`);
      attribute(progress, "max", String(Math.max(1, b.of)));
      attribute(progress, "value", String(b.done ? Math.max(1, b.of) : Math.min(b.at, b.of)));
      attribute(el, "data-done", b.done ? "yes" : "no");
    },
  };
}

const bars = h("ul", { class: "bars" });
const empty = h("p", { class: "empty" }, "Nothing was read yet. The first run reads every captured table as soon as the slot is made.");

export function showBackfill(status) {
  if (!bars.isConnected) $("backfill-body").append(bars, empty);
  const tables = status.backfill || [];
  const list = tables.map((t) => {
    const of = Math.max(t.estimate, t.rows);
    const left = t.eta_seconds ?? null;
    return {
      key: t.table, name: t.table, at: t.rows, of, done: t.done,
      figures: t.done ? `${plural(t.rows, "row")}` : `${count(t.rows)} of about ${plural(of, "row")}`,
      left: t.done ? "read" : left === null ? percent(t.rows, of) : `${percent(t.rows, of)}, ${duration(left)} left`,
    };
  });
  const by = entities(status.entities);
  const all = total(by, "current", "pending", "deferred", "blocked", "parked", "awaiting_consent", "released");
  if (all > 0) {
    const rest = total(by, "pending", "deferred");
    const seconds = status.apply.eta_seconds;
    list.push({
      key: "\napply", name: "Applied to Stytch", at: all - rest, of: all, done: rest === 0,
      figures: rest === 0 ? plural(all, "entity", "entities") : `${count(all - rest)} of ${plural(all, "entity", "entities")}`,
      left: rest === 0 ? "nothing waits" : seconds ? `${percent(all - rest, all)}, ${duration(seconds)} left` : percent(all - rest, all),
    });
  }
  each(bars, list, (b) => b.key, bar);
  empty.hidden = list.length > 0;
  const reading = tables.filter((t) => !t.done).length;
  text($("backfill-note"), reading ? `${plural(reading, "table")} to read` : tables.length ? "all tables read" : "");
}

const states = ["current", "pending", "deferred", "blocked", "parked", "awaiting_consent", "dropped", "released", "gone"];
const meaning = {
  current: "as desired", pending: "waits for its turn", deferred: "waits for a time or another entity", blocked: "waits for something parked",
  parked: "a person must act", awaiting_consent: "a person must agree", dropped: "given up by a person", released: "cut over", gone: "deleted",
};
const losing = {
  password_hash_unsupported: "password in a format that Stytch does not take", password_of_unverified_email: "password of an unverified address",
  phone_unverified: "phone number", password_shared_across_organizations: "old password stays, it is shared across organizations",
};

export function showEntities(status) {
  const by = entities(status.entities);
  const used = states.filter((st) => total(by, st) > 0);
  const rows = used.map((st) => h("tr", null, h("th", { scope: "row" }, words(st)),
    h("td", { class: "soft" }, meaning[st]), ["organization", "member"].map((kind) => h("td", { class: by[kind][st] && (st === "parked" || st === "blocked") ? "n warn" : "n" }, count(by[kind][st] || 0)))));
  for (const l of status.entities?.losses || []) {
    const n = (kind) => (l.kind === kind ? count(l.count) : none);
    rows.push(h("tr", null, h("th", { scope: "row" }, "with a loss"), h("td", { class: "soft" }, losing[l.loss] || words(l.loss)), h("td", { class: "n" }, n("organization")), h("td", { class: "n" }, n("member"))));
  }
  $("entities-body").replaceChildren(rows.length ? h("table", null, h("caption", { class: "unseen" }, "Entities by state"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "State"), h("th", { scope: "col" }, "Meaning"), h("th", { scope: "col", class: "n" }, "Organizations"), h("th", { scope: "col", class: "n" }, "Members"))),
    h("tbody", null, rows)) : h("p", { class: "empty" }, "The mapping was not evaluated yet."));
}
