// The panels below a graph: keys that wait, partitions of Kafka, discards.
import { each, h, s, say, set, styled } from "./dom.js";
import { count, plural, span } from "./format.js";
import { fairOf, keysOf, partitionsOf } from "./shapes.js";
import { showBars } from "./bars.js";

// panel makes an empty one: a title, a line of words, and room.
export function panel(id, title) {
  const el = h("section", { class: "panel", id, tabindex: -1, "aria-label": title });
  el.title_ = h("h3", {}, title);
  el.words = h("p", { class: "words" });
  el.room = h("div", {});
  el.append(h("header", {}, el.title_, el.words), el.room);
  return el;
}

// showPanels shows those that the stages of a part have something for.
export function showPanels(host, part, meters) {
  const wanted = [];
  for (const stage of part.stages.values()) {
    if (fairOf(stage)) wanted.push({ id: place(part.id, "keys", stage.name), title: `Keys that wait in ${stage.name}`, show: (el) => showKeys(el, fairOf(stage)) });
    if (partitionsOf(stage.handler)) wanted.push({ id: place(part.id, "partitions", stage.name), title: `Partitions of ${stage.name}`, show: (el) => showPartitions(el, stage.handler, stage.name, meters) });
  }
  if (meters.discards.size) wanted.push({ id: place(part.id, "discards"), title: "Discarded, by reason", show: (el) => showDiscards(el, meters) });
  each(host, wanted, (w) => w.id, (w) => panel(w.id, w.title), (el, w) => w.show(el));
  set(host, { hidden: wanted.length === 0 });
}

// place is the id of the element of a panel.
export const place = (part, kind, stage = "") => `panel-${part}-${kind}-${stage}`;

function showKeys(el, fair) {
  const keys = keysOf(fair);
  const left = fair.backlogged - keys.length;
  say(el.words, keys.length ? `${plural(fair.held, "event")} of ${plural(fair.backlogged, "key")} wait` + (left > 0 ? `; ${count(left)} short ones not shown` : "") + (fair.oldest_ns > 0 ? `; the oldest waits ${span(fair.oldest_ns)}` : "") : "No key has more than one event waiting.");
  const apart = [...keys.filter((k) => !k.still), ...keys.filter((k) => k.still)]; // those that are held back stand at the end
  showBars(el.room, apart.map((k) => ({
    id: k.key, name: k.key, value: k.events, state: k.flood ? "flood" : k.still ? "still" : "usual",
    mark: k.flood ? "flood" : k.still ? "parked" : "",
    text: k.flood ? count(k.events) : k.still ? (k.parked ? "parked" : span(k.left).replace(/ \d\d s$/, "")) : count(k.events),
    label: `${k.key}: ${plural(k.events, "event")} waiting${k.flood ? ", a flood" : ""}${k.parked ? ", parked" : k.still ? `, held back for ${span(k.left)}` : ""}`,
  })));
}

// showPartitions shows the partitions of a Kafka source.
export function showPartitions(el, data, owner, meters) {
  const all = partitionsOf(data) || [];
  const topics = new Set(all.map((p) => p.topic));
  const lag = all.reduce((sum, p) => sum + p.lag, 0);
  say(el.words, `${plural(lag, "record")} behind in ${plural(all.length, "partition")} of ${[...topics].join(", ")}${data.partitions_left ? `; ${count(data.partitions_left)} more are not shown` : ""}`);
  showBars(el.room, all.map((p) => {
    const trend = meters.trendOf(owner, p);
    const still = p.held || p.stopped;
    const grows = !still && trend === "growing";
    const full = !still && !grows && p.paused; // its window is full
    return {
      id: p.topic + "/" + p.partition, name: topics.size > 1 ? `${p.topic}/${p.partition}` : String(p.partition), value: p.lag,
      state: p.stopped ? "stopped" : still || full ? "still" : grows ? "growing" : "usual",
      mark: p.stopped ? "stopped" : p.held ? "paused" : grows ? "growing" : "", text: count(p.lag),
      label: `Partition ${p.partition} of ${p.topic}: ${count(p.lag)} behind` + (p.stopped ? ", stopped" : p.held ? ", paused" : full ? ", its window is full" : trend ? `, ${trend}` : ""),
    };
  }));
}

const columns = 60, height = 96;

// showDiscards stacks what was discarded in each interval of the last minute.
function showDiscards(el, meters) {
  const reasons = [...meters.discards.keys()].sort();
  const totals = reasons.map((r) => meters.discards.get(r));
  if (!el.drawing) {
    el.drawing = s("svg", { class: "stack", viewBox: `0 0 ${columns * 5} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    el.legend = h("ul", { class: "legend" });
    el.room.append(el.drawing, el.legend);
  }
  const sums = Array.from({ length: columns }, (_, i) => totals.reduce((sum, t) => sum + at(t, i), 0));
  const most = Math.max(1, ...sums);
  const bars = [];
  for (let i = 0; i < columns; i++) {
    let y = height;
    totals.forEach((t, r) => {
      const tall = ((height - 4) * at(t, i)) / most;
      if (tall > 0) bars.push({ id: i + "/" + r, x: i * 5, y: (y -= tall), tall, r });
    });
  }
  each(el.drawing, bars, (b) => b.id, () => s("rect", { width: 4 }), (bar, b) => set(bar, { x: b.x, y: b.y.toFixed(1), height: b.tall.toFixed(1), class: "series" + (b.r % 5) }));
  each(el.legend, reasons, (r) => r, () => h("li", {}, h("i", {}), h("span", {})), (li, reason) => {
    set(li.firstChild, { class: "series" + (reasons.indexOf(reason) % 5) });
    const t = meters.discards.get(reason);
    say(li.lastChild, `${reason.replaceAll("_", " ")}: ${count(t.total)} so far`);
  });
  say(el.words, `${count(totals.reduce((sum, t) => sum + t.total, 0))} since the start; the last minute, at most ${count(most)} a second`);
}

// at is a rate in the i-th of the columns, the newest one last.
const at = (total, i) => total.history.values[i - columns + total.history.values.length] ?? 0;
