// What the views show, put together from GET /status.

// KINDS in the order of the data's way.
export const KINDS = ["source", "transform", "apply"];

// connectors in that order, with their tasks. A connector that a person has paused or
// stopped says so, whatever its tasks do meanwhile.
export function connectors(status) {
  const kind = (name) => KINDS.find((k) => name.endsWith(`-${k}`)) || name;
  const list = (status.connectors || []).map((c) => ({ trace: "", worker_id: "", ...c, kind: kind(c.name), tasks: c.tasks || [] }));
  return list.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

// hold splits a held connector's trace, "held: reason. fix", into the two.
export function hold(trace) {
  const body = trace.replace(/^.*?held: /s, "");
  const at = body.indexOf(". ");
  return at < 0 ? { reason: body, fix: "" } : { reason: body.slice(0, at + 1), fix: body.slice(at + 2) };
}

// owners groups a connector's tasks by who runs them and in which state.
export function owners(tasks) {
  const groups = new Map();
  for (const t of tasks) {
    const key = [t.worker_id, t.state, t.held, t.trace].join("\n");
    const g = groups.get(key) || { key, worker: t.worker_id, state: t.state, held: t.held, trace: t.trace, since: t.since, ids: [] };
    g.ids.push(t.id);
    if (t.since && (!g.since || t.since < g.since)) g.since = t.since;
    groups.set(key, g);
  }
  return [...groups.values()].sort((a, b) => Math.min(...a.ids) - Math.min(...b.ids));
}

// entities sums the counts by kind and state; gone means that nothing is desired and
// nothing is left to do.
export function entities(summary) {
  const by = { organization: {}, member: {} };
  for (const c of summary?.counts || []) {
    const state = c.gone && c.status === "current" ? "gone" : c.status;
    by[c.kind] ??= {};
    by[c.kind][state] = (by[c.kind][state] || 0) + c.count;
  }
  return by;
}

export const total = (by, ...states) => Object.values(by).reduce((n, kind) => n + states.reduce((m, st) => m + (kind[st] || 0), 0), 0);

// groups of what waits for a person, by status and reason, the largest first.
export function groups(summary) {
  const by = new Map();
  for (const c of summary?.counts || []) {
    if (c.status !== "parked" && c.status !== "blocked") continue;
    const key = `${c.status}|${c.reason || ""}`;
    const g = by.get(key) || { key, status: c.status, reason: c.reason || "", organization: 0, member: 0 };
    g[c.kind] += c.count;
    by.set(key, g);
  }
  const rank = (g) => (g.status === "parked" ? 0 : 1);
  return [...by.values()].sort((a, b) => rank(a) - rank(b) || b.organization + b.member - a.organization - a.member);
}

export const lagOf = (status, ends) => {
  const found = (status.lag || []).filter((l) => ends(l.topic));
  return found.length ? found.reduce((n, l) => n + l.records, 0) : null;
};
// ageOf is the age of the oldest record that was not processed, 0 when all were.
export const ageOf = (status, ends) => {
  const known = (status.lag || []).filter((l) => ends(l.topic) && typeof l.seconds === "number");
  return known.length ? Math.max(...known.map((l) => l.seconds)) : null;
};
export const isLive = (topic) => topic.endsWith(".apply.live");
export const isBackfill = (topic) => topic.endsWith(".apply.backfill");
export const isSource = (topic) => !isLive(topic) && !isBackfill(topic) && !topic.endsWith(".checkpoints");
