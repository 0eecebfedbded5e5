// Asks every two seconds and shows what it hears.
import { $, attribute, each, h, prose, text } from "./dom.js";
import { get, onToken, Refused } from "./api.js";
import { askToken } from "./dialog.js";
import { clock, duration } from "./format.js";
import { History } from "./history.js";
import { connectors } from "./model.js";
import { flow } from "./flow.js";
import { plots, table } from "./plots.js";
import { holds, showConnectors, showInstances } from "./connectors.js";
import { showBackfill, showEntities } from "./backfill.js";
import { showConsents } from "./consents.js";
import { showParked } from "./parked.js";
import { open, startEntity } from "./entity.js";

const EVERY = 2000; // ms
const history = new History();
let status = null;
let lost = null; // {since, why} while nobody answers
let drawnEntities = "";

function notice() {
  const [title, what, fix] = [h("h2"), h("p"), h("p", { class: "fix" })];
  return { el: h("article", { class: "notice" }, title, what, fix), update(n) { attribute(this.el, "data-level", n.level); text(title, n.title); prose(what, n.what || ""); prose(fix, n.fix || ""); fix.hidden = !n.fix; } };
}

function notices(list) {
  const all = [];
  if (lost) all.push({ key: "lost", level: "bad", title: "No answer from this instance", what: `Since ${clock(lost.since)}, ${duration((Date.now() - lost.since) / 1000)}: ${lost.why}.${status ? " What stands below is the last that was heard." : ""}`, fix: "It is asked again every 2 s." });
  all.push(...list);
  if (status?.problems?.length) all.push({ key: "problems", level: "warn", title: "Not everything could be read", what: status.problems.join("; ") });
  each($("notices"), all, (n) => n.key, notice);
}

function show() {
  const list = connectors(status);
  document.title = `${list.some((c) => c.state === "FAILED") ? "Failed: " : ""}${status.name} – Backstitch`;
  text($("name"), status.name);
  flow(status, list, history);
  const now = Math.floor(new Date(status.time) / 1000);
  plots(history, now);
  if ($("plots").querySelector("details").open) table(history, now);
  showConnectors(list);
  showInstances(status.instances || []);
  showBackfill(status);
  const drawn = JSON.stringify(status.entities);
  if (drawn !== drawnEntities) { drawnEntities = drawn; showEntities(status); }
  showConsents(status.consents || []);
  showParked(status.entities, open);
  return list;
}

async function look() {
  let list = [];
  try {
    status = await get("status");
    history.take(await get(`series?since=${history.since}`));
    lost = null;
    text($("updated"), `as of ${clock(status.time)}`);
  } catch (e) {
    lost ??= { since: Date.now(), why: "" };
    lost.why = e instanceof Refused ? `it answered ${e.status}: ${e.message}` : e.message;
  }
  attribute($("data"), "data-stale", lost ? "yes" : null);
  $("data").hidden = !status;
  if (status) list = show();
  notices(holds(list));
}

async function forever() {
  for (;;) {
    if (!document.hidden || !status) await look();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, EVERY);
      document.addEventListener("acted", () => { clearTimeout(timer); setTimeout(resolve, 300); }, { once: true });
    });
  }
}

const themes = ["system", "light", "dark"];
function startTheme() {
  const button = $("theme");
  const is = () => document.documentElement.dataset.theme || "system";
  const label = () => text(button, `Theme: ${is()}`);
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(is()) + 1) % themes.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("backstitch.theme", next); } catch { /* storage is switched off: for this view only */ }
    label();
  });
  label();
}

onToken(askToken);
startTheme();
startEntity();
$("data").hidden = true;
forever();
