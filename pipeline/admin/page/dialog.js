// Questions to a person, and what was done about the answers.
import { $, text } from "./dom.js";
import { Refused } from "./api.js";

function answered(dialog) {
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

let settle = () => {}; // answers the question that stands

// confirm asks before something that cannot be taken back; Cancel has the focus. The
// buttons answer, not the close event: it comes later, when the next question may
// stand already.
export function confirm(title, what, yes, danger = true) {
  const dialog = $("ask");
  settle(false);
  text($("ask-title"), title);
  text($("ask-text"), what);
  text($("ask-yes"), yes);
  $("ask-yes").className = danger ? "danger" : "primary";
  const answer = new Promise((resolve) => { settle = resolve; });
  $("ask-yes").onclick = () => settle(true);
  $("ask-no").onclick = () => settle(false);
  dialog.onclose = () => { if (!dialog.open) settle(false); };
  dialog.showModal();
  $("ask-no").focus();
  return answer;
}

// askToken insists: without a token there is nothing to show.
export async function askToken(wrong) {
  const dialog = $("token");
  const field = $("token-value");
  text($("token-title"), wrong ? "This token was refused" : "This address asks for a token");
  field.value = "";
  const insist = (e) => e.preventDefault();
  dialog.addEventListener("cancel", insist);
  dialog.showModal();
  field.focus();
  await answered(dialog);
  dialog.removeEventListener("cancel", insist);
  const token = field.value.trim();
  field.value = "";
  return token || askToken(wrong);
}

let fading = 0;

// say tells the outcome of an action, to eyes and screen readers.
export function say(what, bad = false) {
  const el = $("said");
  el.className = bad ? "bad" : "good";
  el.textContent = what;
  clearTimeout(fading);
  fading = setTimeout(() => { el.textContent = ""; el.className = ""; }, bad ? 12000 : 6000);
}

// act runs one action from a button, which is busy meanwhile, and tells how it went.
export async function act(button, doing, done) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    const result = await doing();
    say(typeof done === "function" ? done(result) : done);
    document.dispatchEvent(new CustomEvent("acted"));
  } catch (e) {
    say(e instanceof Refused ? `Refused: ${e.message}` : `Not done: ${e.message}`, true);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
