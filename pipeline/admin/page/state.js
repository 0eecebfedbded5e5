// A state is a shape, a word and a colour: never a colour alone.
import { attribute, h, s, text } from "./dom.js";

const shapes = {
  RUNNING: () => s("circle", { cx: 6, cy: 6, r: 4.5 }),
  PAUSED: () => s("path", { d: "M2.5 1.5h2.6v9H2.5zM6.9 1.5h2.6v9H6.9z" }),
  STOPPED: () => s("path", { d: "M2 2h8v8H2z" }),
  FAILED: () => s("path", { d: "M6 .8 11.6 11H.4zM5.3 4.4v3.2h1.4V4.4zm0 4.2v1.3h1.4V8.6z", "fill-rule": "evenodd" }),
  RESTARTING: () => s("path", { d: "M6 1.2a4.8 4.8 0 1 0 4.8 4.8H9a3 3 0 1 1-3-3v1.9L9.3 2.3 6-.3z" }),
  UNASSIGNED: () => s("path", { d: "M6 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 0 1 0-9zm0 1.6a2.9 2.9 0 1 0 0 5.8a2.9 2.9 0 0 0 0-5.8z", "fill-rule": "evenodd" }),
};

const word = { UNASSIGNED: "standing by" };

// chip shows a state; held is a failure that waits for a person.
export function chip() {
  const icon = s("svg", { viewBox: "0 0 12 12", width: 10, height: 10, "aria-hidden": "true" });
  const label = h("span");
  const el = h("span", { class: "state" }, icon, label);
  return {
    el,
    update(state, held, said) {
      attribute(el, "data-state", held ? "FAILED" : state);
      text(label, said || (held ? "held" : word[state] || state.toLowerCase()));
      if (icon.dataset.shape !== state) {
        icon.dataset.shape = state;
        icon.replaceChildren((shapes[state] || shapes.UNASSIGNED)());
      }
    },
  };
}
