// Elements are made by calls and filled as text: nothing that a server says is ever
// read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(el, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

// h makes an HTML element; on… properties are listeners, the others attributes.
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

// s makes an SVG element.
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

export const $ = (id) => document.getElementById(id);

// text sets what an element says, if it says something else: assistive technology
// and selections are left alone otherwise.
export function text(el, value) {
  if (el.textContent !== value) el.textContent = value;
  return el;
}

// prose is text in which `backticks` mark what is typed.
export function prose(el, value) {
  if (el.textContent === value.replaceAll("`", "")) return el;
  el.replaceChildren(...value.split("`").map((part, i) => (i % 2 ? h("code", null, part) : part)));
  return el;
}

export function attribute(el, name, value) {
  if (value === null) el.removeAttribute(name);
  else if (el.getAttribute(name) !== value) el.setAttribute(name, value);
}

const lists = new WeakMap();

// each brings parent's children in line with items. make(item) returns {el, update};
// an element lives as long as its key does, so that focus survives every refresh.
export function each(parent, items, key, make) {
  const had = lists.get(parent) || new Map();
  const has = new Map();
  for (const item of items) {
    const k = String(key(item));
    has.set(k, had.get(k) || make(item));
  }
  for (const [k, row] of had) if (!has.has(k)) row.el.remove();
  let at = parent.firstElementChild;
  let i = 0;
  for (const row of has.values()) {
    const item = items[i++];
    row.update?.(item);
    if (row.el === at) at = at.nextElementSibling;
    else parent.insertBefore(row.el, at);
  }
  lists.set(parent, has);
}
