// Small helpers for the page's elements. What has not changed is not touched, so that focus
// stays where it is and an update of a thousand stages stays cheap.

const space = "http://www.w3.org/2000/svg";

// h makes an element: h("p", {class: "note", onclick}, "text", child).
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

// s makes an element of a drawing.
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(space, tag), props, children);
}

function fill(el, props, children) {
  set(el, props);
  el.append(...children.filter((c) => c !== undefined && c !== null && c !== false));
  return el;
}

// set sets attributes and listeners. undefined, null and false remove an attribute, true
// sets it to "".
export function set(el, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) {
      el[name] = value;
      continue;
    }
    if (value === undefined || value === null || value === false) {
      if (el.hasAttribute(name)) el.removeAttribute(name);
      continue;
    }
    const text = value === true ? "" : String(value);
    if (el.getAttribute(name) !== text) el.setAttribute(name, text);
  }
  return el;
}

// say sets a text.
export function say(el, text) {
  const t = String(text);
  if (el.textContent !== t) el.textContent = t;
}

// styled sets properties of the element's style, which the content security policy allows
// where it forbids style attributes.
export function styled(el, props) {
  const known = (el.styled ||= {});
  for (const [name, value] of Object.entries(props)) {
    if (known[name] === value) continue;
    known[name] = value;
    el.style.setProperty(name, value);
  }
  return el;
}

// each makes the children of an element those of a list: make is called for an item whose
// key is new, update for each one.
export function each(parent, items, key, make, update = () => {}) {
  const known = (parent.known ||= new Map());
  const keep = new Set();
  let at = parent.firstChild;
  items.forEach((item, i) => {
    let k = key(item, i);
    if (keep.has(k)) k += "#" + i;
    keep.add(k);
    let el = known.get(k);
    if (el === undefined) known.set(k, (el = make(item, i)));
    if (el === at) at = at.nextSibling;
    else parent.insertBefore(el, at);
    update(el, item, i); // in its place, where it has a size
  });
  for (const [k, el] of known) {
    if (keep.has(k)) continue;
    el.remove();
    known.delete(k);
  }
}

// line is the path of a small curve of values, in a box.
export function line(values, width, height, slots) {
  if (values.length < 2) return "";
  const most = Math.max(...values, 1e-9), step = width / (slots - 1), from = width - (values.length - 1) * step;
  return values.map((v, i) => `${i ? "L" : "M"}${(from + i * step).toFixed(1)} ${(height - 1 - (v / most) * (height - 3)).toFixed(1)}`).join("");
}
