// Numbers as people read them: grouped, in base units, with the unit.

const grouped = new Intl.NumberFormat("en");
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const none = "–";
const missing = (n) => n === null || n === undefined || Number.isNaN(n);

export const count = (n) => (missing(n) ? none : grouped.format(n));

// rate: one decimal below ten, where it says something.
export const rate = (n) => (missing(n) ? none : n > 0 && n < 10 ? n.toFixed(1) : grouped.format(Math.round(n)));

export function bytes(n) {
  if (missing(n)) return none;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i ? three.format(n) : n} ${units[i]}`;
}

// duration of seconds, in at most two units.
export function duration(s) {
  if (missing(s)) return none;
  if (s > 0 && s < 1) return `${Math.max(1, Math.round(s * 1000))} ms`;
  if (s < 10) return `${Math.round(s * 10) / 10} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const pair = (big, unit, small, rest) => (rest ? `${big} ${unit} ${rest} ${small}` : `${big} ${unit}`);
  if (s < 3600) return s < 600 ? pair(Math.floor(s / 60), "min", "s", Math.round(s % 60) % 60) : `${Math.round(s / 60)} min`;
  if (s < 86400) return pair(Math.floor(s / 3600), "h", "min", Math.floor((s % 3600) / 60));
  return pair(Math.floor(s / 86400), "d", "h", Math.floor((s % 86400) / 3600));
}

// short is for axes.
export function short(n) {
  if (missing(n)) return none;
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (n >= size) return `${three.format(n / size)}${letter}`;
  return three.format(n);
}

export const percent = (part, whole) => (whole > 0 ? `${Math.min(100, Math.floor((100 * part) / whole))} %` : none);

export const clock = (t) => new Date(t).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// moment says the day only where it is not today.
export function moment(t) {
  const d = new Date(t);
  const today = new Date().toDateString() === d.toDateString();
  return today ? clock(t) : `${d.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${clock(t)}`;
}

export const words = (name) => name.replaceAll("_", " ");

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// ranges writes partition numbers as 0–3, 8.
export function ranges(ids) {
  const out = [];
  for (const id of [...ids].sort((a, b) => a - b)) {
    const last = out.at(-1);
    if (last && last[1] === id - 1) last[1] = id;
    else out.push([id, id]);
  }
  return out.map(([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a}, ${b}` : `${a}–${b}`)).join(", ");
}
