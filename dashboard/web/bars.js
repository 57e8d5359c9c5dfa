// A skyline: columns whose heights compare, with their names below. The fair dispatcher's keys
// and the partitions of Kafka are drawn so.
import { each, h, say, set, styled } from "./dom.js";
import { resign, sign } from "./signs.js";

// small is what a column of full height stands for at least: a few events are no tower.
const small = 20;

// showBars draws items of {id, name, value, text, state, mark, label}. state chooses how a
// column looks, mark the sign on its top.
export function showBars(el, items) {
  const most = Math.max(small, ...items.map((i) => i.value));
  set(el, { class: "bars", role: "list", "data-roomy": items.length <= 12, "data-calm": !items.some((i) => i.mark) });
  each(el, items, (i) => i.id, makeBar, (bar, item) => {
    set(bar, { "data-state": item.state, "aria-label": item.label, title: item.label });
    styled(bar.column, { height: (item.value > 0 ? Math.max(1.5, (76 * item.value) / most) : 0).toFixed(1) + "%" });
    say(bar.value, item.text);
    set(bar.mark, { hidden: !item.mark });
    if (item.mark) resign(bar.mark, item.mark);
    say(bar.name, item.name);
  });
}

function makeBar() {
  const bar = h("div", { class: "bar", role: "listitem" });
  bar.mark = sign("failures");
  bar.value = h("span", { class: "value" });
  bar.column = h("span", { class: "column" });
  bar.name = h("span", { class: "below" });
  bar.append(h("span", { class: "shaft" }, h("span", { class: "onTop" }, bar.mark, bar.value), bar.column), bar.name);
  return bar;
}
