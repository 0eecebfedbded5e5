// Connectors with their tasks, by owner, and what a person can do with them.
import { $, attribute, each, h, text } from "./dom.js";
import { act, confirm } from "./dialog.js";
import { path, post, put } from "./api.js";
import { moment, none, plural, ranges } from "./format.js";
import { hold, owners } from "./model.js";
import { chip } from "./state.js";

const verbs = {
  pause: { label: "Pause", when: (st) => st !== "PAUSED" && st !== "STOPPED", done: "is being paused, in all instances" },
  resume: { label: "Resume", when: (st) => st === "PAUSED" || st === "STOPPED", done: "goes on" },
  restart: { label: "Restart", when: (st) => st !== "PAUSED" && st !== "STOPPED", done: "is started anew" },
  stop: { label: "Stop", when: (st) => st !== "STOPPED", done: "is being stopped, in all instances" },
};

async function ask(verb, name, button) {
  if (verb === "stop" && !(await confirm(`Stop ${name}?`,
    "A stopped connector has no tasks, in no instance and across restarts, until somebody resumes it. A stopped source keeps its slot, and the server keeps the log for it.", "Stop"))) return;
  const to = `connectors/${path(name)}/${verb}`;
  await act(button, () => (verb === "restart" ? post(`${to}?includeTasks=true`) : put(to)), `${name} ${verbs[verb].done}.`);
}

function buttons(name) {
  const made = Object.entries(verbs).map(([verb, v]) => {
    const el = h("button", { type: "button", "aria-label": `${v.label} ${name}` }, v.label);
    el.addEventListener("click", () => ask(verb, name, el));
    return [v, el];
  });
  return {
    el: h("div", { class: "buttons" }, made.map(([, el]) => el)),
    update(state) { for (const [v, el] of made) el.hidden = !v.when(state); },
  };
}

const since = (t) => (t ? moment(t) : none);

function taskRow(kind) {
  const state = chip();
  const [what, owner, when] = [h("th", { scope: "row" }), h("td", { class: "mono wrap" }), h("td", { class: "soft" })];
  const el = h("tr", { class: "task" }, what, h("td", null, state.el), owner, when, h("td"));
  return {
    el,
    update(g) {
      state.update(g.state, g.held);
      const one = g.ids.length === 1;
      text(what, kind === "apply" ? `${one ? "partition" : "partitions"} ${ranges(g.ids)}` : `task ${ranges(g.ids)}`);
      text(owner, g.worker || none);
      text(when, since(g.since));
    },
  };
}

function traceRow() {
  const cell = h("td", { colspan: 5, class: "trace" });
  return { el: h("tr", null, cell), update: (t) => text(cell, t.trace) };
}

function connector(first) {
  const state = chip();
  const act = buttons(first.name);
  const [tasks, when] = [h("td", { class: "soft" }), h("td", { class: "soft" })];
  const row = h("tr", { class: "connector" }, h("th", { scope: "rowgroup" }, first.name), h("td", null, state.el), tasks, when, h("td", null, act.el));
  const body = h("tbody", null);
  return {
    el: body,
    update(c) {
      state.update(c.state, c.held);
      const live = c.tasks.filter((t) => t.state === "RUNNING").length;
      text(tasks, c.tasks.length ? `${live} of ${plural(c.tasks.length, "task")} running` : c.state === "STOPPED" ? "no tasks" : "nobody runs it");
      text(when, since(c.since));
      act.update(c.state);
      const rows = [{ key: "head", make: () => ({ el: row }), item: c }];
      for (const g of owners(c.tasks)) {
        rows.push({ key: g.key, make: () => taskRow(c.kind), item: g });
        if (g.trace && !g.held) rows.push({ key: `${g.key} trace`, make: traceRow, item: g });
      }
      each(body, rows, (r) => r.key, (r) => {
        const made = r.make();
        return { el: made.el, update: (now) => made.update?.(now.item) };
      });
    },
  };
}

const table = h("table", { class: "connectors" }, h("caption", { class: "unseen" }, "Connectors, their tasks and who runs them"),
  h("thead", null, h("tr", null, ["Connector", "State", "Owner", "Since", "Actions"].map((t) => h("th", { scope: "col" }, t)))));

// showConnectors refreshes the table.
export function showConnectors(connectors) {
  if (!table.isConnected) $("connectors-body").append(h("div", { class: "scroll" }, table));
  // The head is a child of the table, too: it is kept first under a key of its own.
  each(table, [{ name: " caption" }, { name: " head" }, ...connectors], (c) => c.name, (c) =>
    c.name === " caption" ? { el: table.caption } : c.name === " head" ? { el: table.tHead } : connector(c));
}

function instanceRow() {
  const cells = [h("th", { scope: "row", class: "mono wrap" }), h("td"), h("td", { class: "soft" }), h("td", { class: "soft" })];
  const state = chip();
  cells[1].append(state.el);
  return {
    el: h("tr", null, cells),
    update(i) {
      text(cells[0], i.id);
      state.update(!i.alive ? "FAILED" : i.state === "STANDBY_DIGEST" ? "UNASSIGNED" : i.state, false, !i.alive ? "silent" : i.state === "STANDBY_DIGEST" ? "other mapping" : null);
      text(cells[2], i.version || none);
      text(cells[3], i.alive ? `up since ${moment(i.started_at)}` : `last seen ${moment(i.seen_at)}`);
    },
  };
}

const list = h("tbody");
const nobody = h("p", { class: "empty" }, "No instance has reported in the last hour.");

// showInstances lists the processes of the cluster.
export function showInstances(instances) {
  if (!list.isConnected) {
    $("connectors-body").append(h("h3", null, "Instances"), h("div", { class: "scroll" }, h("table", null, h("caption", { class: "unseen" }, "Instances of run"),
      h("thead", null, h("tr", null, ["Instance", "State", "Version", "Life"].map((t) => h("th", { scope: "col" }, t)))), list)), nobody);
  }
  nobody.hidden = instances.length > 0;
  list.parentElement.hidden = instances.length === 0;
  each(list, instances, (i) => i.id, instanceRow);
  const alive = instances.filter((i) => i.alive).length;
  text($("instances"), instances.length ? `${alive} of ${plural(instances.length, "instance")}` : "");
  attribute($("instances"), "class", alive < instances.length ? "bad" : null);
}

// holds are the connectors that wait for a person, as notices.
export const holds = (connectors) => connectors.filter((c) => c.state === "FAILED").map((c) => {
  const { reason, fix } = hold(c.trace || "It says no reason.");
  return c.held
    ? { key: c.name, level: "bad", title: `${c.name} is held`, what: reason, fix }
    : { key: c.name, level: "bad", title: `${c.name} has failed`, what: c.trace, fix: "Restart it when the cause is gone." };
});
