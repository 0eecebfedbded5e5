// Plots of the last hour. Each is an image with a summary in words; the arrow keys
// move the cursor of all of them; below them the same stands as a table.
import { $, attribute, each, h, s, text } from "./dom.js";
import { bytes, clock, count, duration, none, rate, short } from "./format.js";

const W = 320, H = 112, LEFT = 2, RIGHT = 2, TOP = 8, BOTTOM = 4;
const HOUR = 3600;

const whole = (v) => count(v === null ? null : Math.round(v));
const perSecond = (unit) => (v) => (v === null ? none : `${rate(v)} ${unit}`);
const plotted = [
  { title: "Source", lines: [["source_records_per_second", "rows"]], format: perSecond("rows/s"), axis: short },
  { title: "Transform", lines: [["transform_records_per_second", "rows"]], format: perSecond("rows/s"), axis: short },
  { title: "Apply", lines: [["apply_calls_per_second", "calls"]], format: perSecond("calls/s"), axis: short },
  { title: "Freshness", lines: [["freshness_p50_seconds", "p50"], ["freshness_p99_seconds", "p99"]], format: duration, axis: duration },
  { title: "Slot", lines: [["slot_lag_bytes", "lag"], ["slot_retained_bytes", "kept"]], format: bytes, axis: bytes, binary: true },
  { title: "Records to read", lines: [["source_topics_records", "topics"], ["apply_live_records", "live lane"]], format: whole, axis: short, whole: true },
  { title: "Time behind", lines: [["slot_lag_seconds", "slot"], ["source_topics_lag_seconds", "topics"]], format: duration, axis: duration },
  { title: "Entities", lines: [["entities_waiting", "waiting"], ["entities_parked", "parked"]], format: whole, axis: short, whole: true },
];

// top is the smallest of 1, 2, 5 times a power that holds all values.
function top(max, { binary, whole }) {
  if (!(max > 0)) return binary ? 1024 : 1;
  if (binary) return 2 ** Math.ceil(Math.log2(max));
  const power = 10 ** Math.floor(Math.log10(max));
  const nice = [1, 2, 5, 10].find((m) => m * power >= max) * power;
  return whole ? Math.max(2, nice) : nice;
}

let cursor = null; // seconds since 1970, or null: now
const watchers = new Set();
function moveCursor(at) {
  if (cursor === at) return;
  cursor = at;
  for (const w of watchers) w();
}

function plot(spec) {
  const values = spec.lines.map(() => h("b"));
  const head = h("figcaption", null, h("span", { class: "title" }, spec.title), h("span", { class: "values" },
    spec.lines.map(([, name], i) => h("span", { class: `value line${i}` }, spec.lines.length > 1 ? h("i", { "aria-hidden": "true" }) : null, spec.lines.length > 1 ? `${name} ` : null, values[i]))));
  const grid = [0.5, 1].map(() => s("line", { class: "grid", x1: 0, x2: W }));
  const area = s("path", { class: "area" });
  const lines = spec.lines.map((_, i) => s("path", { class: `line line${i}` }));
  const at = s("line", { class: "cursor", y1: TOP, y2: H - BOTTOM });
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", tabindex: 0 },
    grid, s("line", { class: "base", x1: 0, x2: W, y1: H - BOTTOM, y2: H - BOTTOM }), area, lines, at);
  const marks = [h("span", { class: "tick t1" }), h("span", { class: "tick t2" })];
  const when = h("span", { class: "when" });
  const el = h("figure", null, head, h("div", { class: "canvas" }, svg, marks, h("span", { class: "empty" }, "no samples yet")), h("div", { class: "times", "aria-hidden": "true" }, h("span", null, "−60 min"), when, h("span", null, "now")));
  let points = [], end = 0;

  const x = (t) => LEFT + ((t - (end - HOUR)) / HOUR) * (W - LEFT - RIGHT);
  function show() { // the values at the cursor
    const chosen = cursor === null ? null : Math.round((cursor - (end - HOUR)) / 10) * 10 + end - HOUR;
    spec.lines.forEach((_, i) => {
      const found = cursor === null ? points[i].at(-1) : points[i].find((p) => Math.abs(p.at - chosen) < 10);
      text(values[i], spec.format(found?.value ?? null));
    });
    attribute(at, "visibility", cursor === null ? "hidden" : "visible");
    if (cursor !== null) for (const end of ["x1", "x2"]) attribute(at, end, x(cursor).toFixed(1));
    text(when, cursor === null ? "−30 min" : clock(cursor * 1000));
    attribute(when, "class", cursor === null ? "when" : "when on");
  }
  const pointed = (e) => {
    const box = svg.getBoundingClientRect();
    moveCursor(end - HOUR + Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)) * HOUR);
  };
  svg.addEventListener("pointermove", pointed);
  svg.addEventListener("pointerleave", () => moveCursor(null));
  svg.addEventListener("blur", () => moveCursor(null));
  svg.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -60, ArrowRight: 60, PageUp: -600, PageDown: 600 }[e.key];
    if (step) moveCursor(Math.min(end, Math.max(end - HOUR, (cursor ?? end) + step)));
    else if (e.key === "Escape") moveCursor(null);
    else return;
    e.preventDefault();
    attribute(svg, "aria-label", cursor === null ? summary() : `${spec.title} at ${clock(cursor * 1000)}: ${said()}`);
  });
  const said = () => spec.lines.map(([, name], i) => `${spec.lines.length > 1 ? `${name} ` : ""}${values[i].textContent}`).join(", ");
  function summary() {
    const parts = spec.lines.map(([, name], i) => {
      const known = points[i].filter((p) => p.value !== null).map((p) => p.value);
      if (!known.length) return `${name}: no samples`;
      return `${name}: now ${spec.format(points[i].at(-1).value)}, lowest ${spec.format(Math.min(...known))}, highest ${spec.format(Math.max(...known))}`;
    });
    return `${spec.title}, last hour. ${parts.join("; ")}`;
  }
  watchers.add(show);
  return {
    el,
    update({ history, now }) {
      end = now;
      points = spec.lines.map(([name]) => history.points(name));
      const max = Math.max(0, ...points.flat().map((p) => p.value ?? 0));
      const ceiling = top(max, spec);
      const y = (v) => TOP + (1 - v / ceiling) * (H - TOP - BOTTOM);
      const paths = points.map((ps) => trace(ps, x, y, history.every));
      lines.forEach((l, i) => attribute(l, "d", paths[i].map((p) => `M${p.join("L")}`).join("")));
      const first = paths[0].filter((p) => p.length > 1);
      attribute(area, "d", first.map((p) => `M${p[0].split(" ")[0]} ${H - BOTTOM}L${p.join("L")}L${p.at(-1).split(" ")[0]} ${H - BOTTOM}Z`).join(""));
      grid.forEach((g, i) => { for (const end of ["y1", "y2"]) attribute(g, end, y(ceiling * (i + 1) / 2)); });
      marks.forEach((m, i) => text(m, spec.whole && ceiling < 2 ? "" : spec.axis(ceiling * (2 - i) / 2)));
      attribute(el, "class", points.some((ps) => ps.some((p) => p.value !== null)) ? null : "none");
      show();
      if (cursor === null) attribute(svg, "aria-label", summary());
    },
  };
}

// trace makes pieces of line, broken where a sample is missing.
function trace(points, x, y, every) {
  const pieces = [];
  let last = null;
  for (const p of points) {
    if (p.value === null) { last = null; continue; }
    if (last === null || p.at - last > 2.5 * every) pieces.push([]);
    pieces.at(-1).push(`${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`);
    last = p.at;
  }
  for (const p of pieces) if (p.length === 1) p.push(`${Number(p[0].split(" ")[0]) + 0.8} ${p[0].split(" ")[1]}`);
  return pieces;
}

export function plots(history, now) {
  each($("figures"), plotted.map((spec) => ({ spec, history, now })), (p) => p.spec.title, (p) => plot(p.spec));
  const others = history.missing.length ? `Without ${history.missing.map((m) => m.instance).join(", ")}: no answer.` : "";
  text($("plots-note"), others || "Freshness is the time from the commit in Postgres to Stytch. Arrow keys move the cursor of a plot.");
}

// table is the plots in words: means of five minutes, the newest first.
export function table(history, now) {
  const columns = plotted.flatMap((p) => p.lines.map(([name, label]) => ({ name, format: p.format, head: p.lines.length > 1 ? `${p.title}, ${label}` : p.title, points: history.points(name) })));
  const rows = [];
  for (let to = now; to > now - HOUR; to -= 300) {
    rows.push(h("tr", null, h("th", { scope: "row" }, `${clock((to - 300) * 1000).slice(0, 5)}–${clock(to * 1000).slice(0, 5)}`), columns.map((c) => {
      const known = c.points.filter((p) => p.value !== null && p.at > to - 300 && p.at <= to).map((p) => p.value);
      return h("td", { class: "n" }, c.format(known.length ? known.reduce((a, b) => a + b, 0) / known.length : null, true));
    })));
  }
  $("plots-table").replaceChildren(h("table", null, h("caption", { class: "unseen" }, "The last hour in means of five minutes"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), columns.map((c) => h("th", { scope: "col", class: "n" }, c.head)))), h("tbody", null, rows)));
}
