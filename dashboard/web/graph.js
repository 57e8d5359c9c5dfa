// The graph of a pipeline: its nodes are buttons, above a drawing of the pipes.
import { each, h, line, s, say, set, styled } from "./dom.js";
import { count, rate, span } from "./format.js";
import { pipe, placed } from "./layout.js";
import { resign, sign } from "./signs.js";
import { showCells } from "./cells.js";

// Beyond lively pipes none is animated: each costs a repaint a frame.
const lively = 60;
const sparkWidth = 64, sparkHeight = 24;

// Graph draws the pictures of one pipeline. open is called with the node that was chosen.
export class Graph {
  constructor(open) {
    this.open = open;
    this.pipes = s("svg", { class: "pipes", "aria-hidden": "true" });
    this.labels = s("g", {});
    this.runs = s("g", {});
    this.pipes.append(this.runs, this.labels);
    this.nodes = h("div", { class: "nodes" });
    this.canvas = h("div", { class: "canvas" }, this.pipes, this.nodes);
    this.el = h("div", { class: "graph", role: "group", "aria-label": "Stages and what flows between them" }, this.canvas);
    new ResizeObserver(() => this.picture && this.update(this.picture)).observe(this.el);
  }

  update(picture) {
    this.picture = picture;
    this.place();
    each(this.nodes, picture.nodes, (n) => n.id, (n) => this.makeNode(n), (el, n) => this.showNode(el, n));
    const most = Math.max(1, ...picture.edges.map((e) => e.rate));
    const edges = picture.edges.filter((e) => this.at.boxes.has(e.from) && this.at.boxes.has(e.to));
    set(this.pipes, { "data-lively": edges.length <= lively });
    each(this.runs, edges, (e) => e.id, makeRun, (el, e) => this.showRun(el, e, most));
    const leaving = new Map();
    for (const e of edges) leaving.set(e.from, (leaving.get(e.from) || 0) + 1);
    each(this.labels, edges.length <= lively ? edges : [], (e) => e.id, makeLabel, (el, e) => this.showLabel(el, e, leaving.get(e.from) > 1));
  }

  // place computes the boxes anew if the nodes, the pipes or the width have changed.
  place() {
    const { nodes, edges } = this.picture;
    const style = getComputedStyle(this.el);
    const width = Math.max(250, Math.floor(this.el.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)));
    const narrow = width < 640;
    const key = `${width}|${nodes.map((n) => n.id)}|${edges.map((e) => e.id)}`;
    if (key === this.placedFor) return;
    this.placedFor = key;
    this.narrow = narrow;
    this.at = placed(nodes.map((n) => n.id), edges, width, narrow);
    styled(this.canvas, { width: this.at.width + "px", height: this.at.height + "px" });
    set(this.pipes, { width: this.at.width, height: this.at.height, viewBox: `0 0 ${this.at.width} ${this.at.height}` });
    const scrolls = this.at.width > width;
    set(this.el, { tabindex: scrolls ? 0 : undefined, "data-scrolls": scrolls, "data-narrow": narrow });
  }

  makeNode(n) {
    const el = h("button", { type: "button", class: "node", "data-name": n.id, onclick: () => this.open(n.id, el) });
    el.kind = sign(n.kind, "kind");
    el.badge = sign("failures");
    el.title_ = h("span", { class: "name" });
    el.rate = h("b", {});
    el.curve = s("path", { class: "curve" });
    el.area = s("path", { class: "area" });
    el.spark = s("svg", { class: "spark", viewBox: `0 0 ${sparkWidth} ${sparkHeight}`, preserveAspectRatio: "none", "aria-hidden": "true" }, el.area, el.curve);
    el.cells = h("span", { class: "cells" });
    el.batch = h("span", { class: "fill" }, h("span", {}));
    el.foot = h("span", { class: "foot" });
    el.append(
      h("span", { class: "top" }, el.kind, el.title_, el.badge),
      h("span", { class: "mid" }, h("span", { class: "rate" }, el.rate, h("small", {}, "/s")), el.spark),
      el.cells, el.batch, el.foot,
    );
    return el;
  }

  showNode(el, n) {
    const box = this.at.boxes.get(n.id);
    styled(el, { left: box.x + "px", top: box.y + "px", width: box.w + "px", height: box.h + "px" });
    set(el, { "data-kind": n.kind, "data-severity": n.severity || "none", "data-problem": n.problem || "none", "data-paused": n.paused, "data-many": n.members !== undefined, "aria-label": n.label, title: n.label });
    resign(el.kind, n.kind);
    set(el.badge, { hidden: !n.severity, "data-severity": n.severity });
    if (n.severity) resign(el.badge, n.problem);
    say(el.title_, n.name);
    say(el.rate, rate(n.rate));
    const slots = Math.max(15, n.spark.length); // a short history is drawn wider
    const d = line(n.spark, sparkWidth, sparkHeight, slots);
    set(el.curve, { d });
    set(el.area, { d: d && `${d}V${sparkHeight}H${(sparkWidth - ((n.spark.length - 1) * sparkWidth) / (slots - 1)).toFixed(1)}Z` });
    set(el.cells, { hidden: !n.cells });
    if (n.cells) showCells(el.cells, n.cells, Math.max(6, Math.floor((box.w - 48) / 14)));
    set(el.batch, { hidden: !n.batch });
    if (n.batch) styled(el.batch.firstChild, { width: Math.round(100 * n.batch.fill) + "%" });
    say(el.foot, foot(n));
  }

  showRun(el, e, most) {
    const { d } = pipe(this.at.boxes.get(e.from), this.at.boxes.get(e.to), this.narrow);
    const width = e.rate > 0 ? 3 + 11 * Math.sqrt(e.rate / most) : 2;
    const [hull, flow] = el.children;
    set(el, { "data-flows": String(e.rate > 0), "data-paused": String(e.paused > 0), "data-rate": Math.round(e.rate) });
    set(hull, { d });
    set(flow, { d });
    styled(hull, { "stroke-width": width.toFixed(1) });
    styled(flow, { "stroke-width": Math.max(1.5, width * 0.45).toFixed(1), "animation-duration": (0.5 + 1.5 * (1 - Math.sqrt(e.rate / most))).toFixed(1) + "s" });
  }

  showLabel(el, e, forks) {
    const at = pipe(this.at.boxes.get(e.from), this.at.boxes.get(e.to), this.narrow, forks);
    const [above, below, title] = el.children;
    set(above, { x: at.x, y: at.above, "text-anchor": at.anchor });
    set(below, { x: at.x, y: at.below, "text-anchor": at.anchor });
    say(above, (e.paused ? "‖ " : "") + rate(e.rate) + "/s");
    say(below, this.at.gap < 60 && !this.narrow ? count(e.inFlight) : `${count(e.inFlight)} ⁄ ${count(e.demand)}`);
    say(title, `${e.from} → ${e.to}: ${count(e.inFlight)} in flight, ${count(e.demand)} asked for`);
  }
}

const makeRun = () => s("g", { class: "run" }, s("path", { class: "hull" }), s("path", { class: "flow" }));
const makeLabel = () => s("g", { class: "flowing" }, s("text", {}), s("text", { class: "quiet" }), s("title", {}));

// foot is the last line of a node.
function foot(n) {
  if (n.members) return n.sort + (n.troubled ? `, ${count(n.troubled)} with a problem` : "");
  const all = [];
  if (n.phase !== "running") all.push(n.phase);
  if (n.paused) all.push("paused");
  if (n.batch) all.push(`batch ${count(n.batch.events)} of ${count(n.batch.size)}`);
  if (n.waiting) all.push(`${count(n.waiting)} waiting`);
  if (n.oldest >= 1e9) all.push(`the oldest ${span(n.oldest)}`);
  return all.join(" · ") || n.sort || n.kind;
}
