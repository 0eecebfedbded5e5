// The samples of the last hour, of all instances together. Rates are added; lags and
// counts are the pipeline's, so any instance's will do; of freshness the worst counts.

const HOUR = 3600;
const join = {
  source_records_per_second: "sum", transform_records_per_second: "sum", apply_calls_per_second: "sum",
  freshness_p50_seconds: "max", freshness_p99_seconds: "max",
};

const combine = (name, a, b) => {
  if (a === null || a === undefined) return b;
  if (b === null || b === undefined) return a;
  return join[name] === "sum" ? a + b : join[name] === "max" ? Math.max(a, b) : a;
};

export class History {
  #byInstance = new Map(); // instance -> Map(second -> {series: value})
  every = 10;
  live = {};
  missing = [];

  // since is the newest sample held, in seconds since 1970.
  get since() {
    const newest = [...this.#byInstance.values()].map((m) => [...m.keys()].at(-1) || 0);
    return newest.length ? Math.min(...newest) : 0;
  }

  take(answer) {
    this.live = {};
    this.missing = answer.missing || [];
    for (const one of answer.instances) {
      this.every = one.every_seconds;
      const kept = this.#byInstance.get(one.instance) || new Map();
      one.time.forEach((at, i) => kept.set(at, Object.fromEntries(Object.entries(one.values).map(([name, v]) => [name, v[i]]))));
      this.#byInstance.set(one.instance, kept);
      for (const [name, v] of Object.entries(one.live || {})) this.live[name] = combine(name, this.live[name], v);
    }
    const newest = Math.max(0, ...[...this.#byInstance.values()].map((m) => [...m.keys()].at(-1) || 0));
    for (const [id, kept] of this.#byInstance) {
      for (const at of kept.keys()) if (at < newest - HOUR) kept.delete(at);
      if (kept.size === 0) this.#byInstance.delete(id);
    }
  }

  // points are [{at, value}], oldest first, value null where nothing was read.
  points(name) {
    const at = new Map();
    for (const kept of this.#byInstance.values()) {
      for (const [t, values] of kept) at.set(t, combine(name, at.get(t), values[name] ?? null));
    }
    return [...at].map(([t, value]) => ({ at: t, value: value ?? null })).sort((a, b) => a.at - b.at);
  }

  latest(name) {
    return this.points(name).at(-1)?.value ?? null;
  }

  // now is the rate of the last seconds, else the last sample's.
  now(name) {
    return this.live[name] ?? this.latest(name);
  }
}
