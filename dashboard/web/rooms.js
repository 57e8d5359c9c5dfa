// The parts of a program that are no graph: sockets, topics, who is online, and the cluster.
import { each, h, s, say, set, styled } from "./dom.js";
import { bytes, count, plural, rate, span, words } from "./format.js";
import { panel, place, showPartitions } from "./panels.js";
import { partitionsOf } from "./shapes.js";
import { showLetters } from "./letters.js";

// first are the figures that are shown large, by the kind of part.
const first = {
  sockets: ["connections", "channels", "queued_frames", "queued_bytes", "slow_count"],
  topics: ["topics", "reach", "published", "received", "pending", "lost"],
  presence: ["presences", "waiting", "sent", "failed"],
};
const counted = new Set(["published", "received", "sent", "failed", "lost", "records"]);
const title = { sockets: "Sockets", topics: "Topics", presence: "Who is online", letters: "Dead letters", nodes: "Node" };

// showRooms shows all parts without stages, and the cluster if there is one.
export function showRooms(host, model, meters, cluster, actions) {
  const wanted = [];
  if (cluster.length > 1) wanted.push({ id: "panel--nodes-", title: "Nodes of the cluster", show: (el) => showCluster(el, cluster) });
  for (const part of model.parts.values()) {
    if (part.stages) continue;
    const show = part.kind === "letters" ? (el) => showLetters(el, part, model, actions)
      : partitionsOf(part.data) ? (el) => showPartitions(el, part.data, part.name, meters.of(part))
      : (el) => showFigures(el, part, meters.of(part));
    wanted.push({ id: place(part.id, part.kind), title: `${title[part.kind] || words(part.kind)}: ${part.name}`, show });
  }
  each(host, wanted, (w) => w.id, (w) => panel(w.id, w.title), (el, w) => w.show(el));
  set(host, { hidden: wanted.length === 0 });
}

function showFigures(el, part, meters) {
  const d = part.data;
  const names = first[part.kind] || Object.keys(d).filter((k) => typeof d[k] === "number").slice(0, 12);
  if (!el.tiles) el.room.append((el.tiles = h("dl", { class: "tiles" })), (el.list = h("ul", { class: "slow" })), (el.rest = h("dl", { class: "figures" })));
  // Of a kind that the page does not know, all that is not a large figure is a table.
  const rest = first[part.kind] || part.kind === "nodes" ? [] : Object.keys(d).filter((k) => !names.includes(k) && ["number", "string", "boolean"].includes(typeof d[k]) && d[k] !== "");
  each(el.rest, rest, (k) => k, (k) => h("div", {}, h("dt", {}, words(k)), h("dd", {})), (row, k) => say(row.lastChild, typeof d[k] === "number" ? figure(k, d[k]) : d[k] === true ? "yes" : d[k] === false ? "no" : d[k]));
  each(el.tiles, names.filter((n) => typeof d[n] === "number"), (n) => n, () => h("div", {}, h("dt", {}), h("dd", {}, h("span", {}), h("small", {}))), (tile, name) => {
    say(tile.firstChild, words(name));
    say(tile.lastChild.firstChild, figure(name, d[name]));
    say(tile.lastChild.lastChild, counted.has(name) && meters.rate(name) > 0 ? `${rate(meters.rate(name))}/s` : "");
  });
  each(el.list, (d.slow || []).slice(0, 5), (c) => c.id, () => h("li", {}), (li, c) => say(li, `${c.socket} ${c.id} does not keep up: ${plural(c.frames, "frame")}, ${bytes(c.bytes)}`));
  // A node without others, which is called local, has nothing to run.
  say(el.words, [d.node && `node ${d.node}`, d.running === false && d.node !== "local" && "not running", d.connected === false && "not connected"].filter(Boolean).join(", "));
}

// figure is a value as its name asks for.
export function figure(name, value) {
  if (name.endsWith("_ns")) return span(value);
  if (name.endsWith("bytes")) return bytes(value);
  return count(value);
}

const width = 320, r = 22;

// showCluster draws this node in the middle of a circle of the others. A missing one is
// dashed and crossed out.
function showCluster(el, nodes) {
  const others = nodes.filter((n) => !n.self);
  const gone = others.filter((n) => n.missing);
  say(el.words, gone.length ? `${plural(nodes.length - gone.length, "node")} there, missing: ${gone.map((n) => n.name).join(", ")}` : `${plural(nodes.length, "node")}, all there`);
  if (!el.drawing) {
    el.lines = s("g", {});
    el.dots = s("g", {});
    el.room.append((el.drawing = s("svg", { class: "cluster", role: "img" }, el.lines, el.dots)));
  }
  set(el.drawing, { "aria-label": nodes.map((n) => `${n.name}: ${n.self ? "this node" : n.missing ? "missing" : "there"}`).join(", ") });
  const height = others.length > 2 ? 250 : 112; // few are on one line
  set(el.drawing, { viewBox: `0 0 ${width} ${height}` });
  const at = new Map();
  nodes.filter((n) => n.self).forEach((n, i, all) => at.set(n, { x: width / 2 + (i - (all.length - 1) / 2) * 70, y: height / 2 - 16 }));
  others.forEach((n, i) => {
    if (others.length === 1) {
      for (const self of at.values()) self.x -= 59;
      at.set(n, { x: width / 2 + 59, y: height / 2 - 16 });
      return;
    }
    const angle = Math.PI * (1 + (2 * i) / others.length);
    at.set(n, { x: width / 2 + 118 * Math.cos(angle), y: height / 2 - 16 + 74 * Math.sin(angle) });
  });
  const centre = at.get(nodes[0]);
  each(el.lines, others, (n) => n.name, () => s("line", {}), (line, n) => set(line, { x1: centre.x, y1: centre.y, x2: at.get(n).x, y2: at.get(n).y, class: n.missing ? "cut" : "link" }));
  each(el.dots, nodes, (n) => n.name, makeDot, (dot, n) => {
    const { x, y } = at.get(n);
    const [circle, cross, text, below] = dot.children;
    set(dot, { class: n.missing ? "dot missing" : n.self ? "dot self" : "dot" });
    set(circle, { cx: x, cy: y });
    set(cross, { d: n.missing ? `M${x - 12} ${y - 12}l24 24m0-24l-24 24` : "" });
    set(text, { x, y: y + r + 17 });
    set(below, { x, y: y + r + 31 });
    say(text, n.name.length > 14 ? n.name.slice(0, 13) + "…" : n.name);
    say(below, n.missing ? "missing" : n.self ? "this node" : "");
  });
}

const makeDot = () => s("g", {}, s("circle", { r }), s("path", {}), s("text", { "text-anchor": "middle" }), s("text", { class: "quiet", "text-anchor": "middle" }));
