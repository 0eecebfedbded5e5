// The way of the data: four stores, and the three connectors that carry it on.
import { $, attribute, each, h, text } from "./dom.js";
import { bytes, count, duration, none, rate, short } from "./format.js";
import { ageOf, entities, isBackfill, isLive, isSource, lagOf, total } from "./model.js";
import { chip } from "./state.js";

// A store shows its name and a few facts, the first of them large.
function store(name, what) {
  const big = h("span", { class: "big" });
  const unit = h("span", { class: "unit" });
  const facts = h("dl");
  const el = h("li", { class: "store" }, h("h3", null, name, h("small", null, what)), h("p", { class: "lead" }, big, " ", unit), facts);
  return {
    el,
    update({ value, label, rows }) {
      text(big, value);
      text(unit, label);
      each(facts, rows, (r) => r.name, (r) => {
        const dd = h("dd");
        return {
          el: h("div", null, h("dt", null, r.name), dd),
          update(now) { text(dd, now.value); attribute(dd, "class", now.mono ? "mono" : now.bad ? "bad" : null); },
        };
      });
    },
  };
}

function link(name) {
  const state = chip();
  const big = h("span", { class: "big" });
  const unit = h("span", { class: "unit" });
  const owner = h("p", { class: "owner" });
  const el = h("li", { class: "link" }, h("h3", null, name), h("p", { class: "lead" }, big, " ", unit), h("div", { class: "thread", "aria-hidden": "true" }), h("p", { class: "how" }, state.el), owner);
  return {
    el,
    update({ connector, value, unit: per, moving }) {
      state.update(connector.state, connector.held);
      text(big, value);
      text(unit, per);
      const workers = new Set(connector.tasks.filter((t) => t.state === "RUNNING").map((t) => t.worker_id));
      text(owner, workers.size > 1 ? `${workers.size} instances` : [...workers][0] || connector.worker_id || "");
      attribute(el, "data-state", connector.held ? "FAILED" : connector.state);
      attribute(el, "data-moving", moving && connector.state === "RUNNING" ? "yes" : "no");
    },
  };
}

const behind = (status) => {
  const t = status.source?.commit_time;
  return !t || t.startsWith("0001") ? null : Math.max(0, (new Date(status.time) - new Date(t)) / 1000);
};

const slotState = (s) => (s.slot_active ? s.wal_status || "active" : "nobody reads it");

function stores(status, history) {
  const by = entities(status.entities);
  const src = status.source;
  const waiting = total(by, "pending", "deferred");
  const all = total(by, "current", "pending", "deferred", "blocked", "parked", "awaiting_consent", "released");
  const p50 = history.latest("freshness_p50_seconds");
  const p99 = history.latest("freshness_p99_seconds");
  const age = behind(status);
  return [
    ["Postgres", "the legacy database", {
      value: src ? bytes(src.retained_bytes) : none, label: "of WAL kept",
      rows: [
        { name: "Slot", value: src ? slotState(src) : "not made yet", bad: src && (!src.slot_active || ["unreserved", "lost"].includes(src.wal_status)) },
        { name: "Lag", value: src?.wal_status ? `${bytes(src.slot_lag_bytes)}, ${duration(src.slot_lag_seconds)}` : none },
        { name: "Confirmed", value: src?.confirmed_lsn || none, mono: true },
      ],
    }],
    ["Source topics", "Kafka", {
      value: count(lagOf(status, isSource)), label: "records to read",
      rows: [
        { name: "Reached", value: src?.commit_lsn || none, mono: true },
        { name: "Last commit", value: age === null ? none : `${duration(age)} ago` },
        { name: "Oldest to read", value: duration(ageOf(status, isSource)) },
      ],
    }],
    ["Ledger", "desired and applied", {
      value: count(waiting), label: "entities to apply",
      rows: [
        { name: "Evaluated", value: status.transform.evaluated_lsn || none, mono: true },
        { name: "Phase", value: status.transform.phase || "not begun" },
        { name: "Live, backfill lane", value: `${count(lagOf(status, isLive))}, ${short(lagOf(status, isBackfill))}` },
      ],
    }],
    ["Stytch", "the new home", {
      value: all ? `${count(total(by, "current", "released"))}` : none, label: all ? `of ${count(all)} as desired` : "nothing desired yet",
      rows: [
        { name: "Fresh, p50, p99", value: p50 === null ? none : `${duration(p50)}, ${duration(p99)}` },
        { name: "In flight", value: status.entities?.counts ? count(status.entities.in_flight) : none },
        { name: "Done in about", value: waiting === 0 && all ? "nothing waits" : status.apply.eta_seconds ? duration(status.apply.eta_seconds) : none },
      ],
    }],
  ];
}

const carried = { source: ["source_records_per_second", "rows/s"], transform: ["transform_records_per_second", "rows/s"], apply: ["apply_calls_per_second", "calls/s"] };

// flow draws the stations in the order of the data's way.
export function flow(status, connectors, history) {
  const made = stores(status, history);
  const stations = [];
  made.forEach(([name, what, facts], i) => {
    stations.push({ key: name, make: () => store(name, what), facts });
    const connector = connectors[i];
    if (connector && i < made.length - 1) {
      const [series, unit] = carried[connector.kind] || [];
      let now = series ? history.now(series) : null;
      if (connector.kind === "apply") now ??= status.apply.calls_per_second;
      stations.push({ key: connector.name, make: () => link(connector.kind), facts: { connector, value: rate(now), unit, moving: now > 0 } });
    }
  });
  each($("stations"), stations, (st) => st.key, (st) => {
    const made = st.make();
    return { el: made.el, update: (now) => made.update(now.facts) };
  });
}
