// The line at the top that says what needs attention, in words.
import { each, h, say, set } from "./dom.js";
import { resign, sign } from "./signs.js";

const most = () => (innerWidth < 640 ? 5 : 10);

// showAttention lists problems as links to their places. go is called with the problem.
export function showAttention(el, found, summary, go) {
  const [head, list, rest] = el.children;
  set(el, { "data-severity": found[0]?.severity || "well" });
  if (!head.sign) head.prepend((head.sign = sign("well")));
  resign(head.sign, found.length ? found[0].kind : "well");
  say(head.lastElementChild, found.length ? "What needs attention" : "All is well");
  each(list, el.open ? found : found.slice(0, most()), (p) => [p.part, p.kind, p.stage, p.panel, p.id].join("/"), (p) => item(go), (li, p) => {
    li.problem = p;
    set(li, { "data-severity": p.severity });
    resign(li.sign, p.kind);
    say(li.text, p.text);
  });
  set(list, { hidden: !found.length });
  const left = found.length - most();
  set(rest, { hidden: left <= 0 });
  say(rest, el.open ? "Show fewer" : `Show ${left} more`);
  rest.onclick = () => {
    el.open = !el.open;
    showAttention(el, found, summary, go);
  };
  if (!found.length) say(head.lastElementChild, `All is well. ${summary}`);
}

function item(go) {
  const li = h("li", {});
  li.sign = sign("failures");
  li.text = h("span", {});
  li.append(h("button", { type: "button", onclick: (e) => go(li.problem, e.currentTarget) }, li.sign, li.text));
  return li;
}
