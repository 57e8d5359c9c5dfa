// The page: it takes in each state, and brings all that is shown up to date, at most once a
// frame.
import { each, h, say, set } from "./dom.js";
import { clock, count, plural, rate } from "./format.js";
import { Meters } from "./meters.js";
import { clusterOf } from "./cluster.js";
import { problems, worst } from "./problems.js";
import { picture } from "./picture.js";
import { Graph } from "./graph.js";
import { Controls } from "./control.js";
import { Detail } from "./detail.js";
import { place, showPanels } from "./panels.js";
import { showRooms } from "./rooms.js";
import { showAttention } from "./attention.js";
import { actions, Stream } from "./stream.js";

const root = document.documentElement;
const at = (id) => document.getElementById(id);
const detail = new Detail(at("detail"), actions);
const meters = new Meters();
let model, due, live;
let spent = 0; // milliseconds of work for what will be drawn

// take notes a state and draws it in the next frame, or soon in a page that is hidden.
function take(next, begun) {
  if (next !== model) meters.begin(next);
  model = next;
  meters.observe(model);
  spent += performance.now() - begun;
  if (!due) due = document.hidden ? setTimeout(draw, 50) : requestAnimationFrame(draw);
}

function draw() {
  due = undefined;
  const begun = performance.now();
  const cluster = clusterOf(model, meters.nodes);
  const found = problems(model, meters, cluster);
  const graphs = [...model.parts.values()].filter((p) => p.stages);
  document.title = (found.some((p) => p.severity === "bad") ? "(!) " : "") + model.title;
  say(at("title"), model.title);
  say(at("at"), `as of ${clock(model.at)}`);
  set(at("locked"), { hidden: model.control || !graphs.some((p) => p.steps.size > 0) });
  const entering = total(graphs.map(sources));
  showAttention(at("attention"), found, entering === undefined ? "" : `${rate(entering)} events a second enter.`, go);
  const byStage = new Map(graphs.map((p) => [p.id, worst(found, p.id)]));
  each(at("graphs"), graphs, (p) => p.id, makePipeline, (el, p) => showPipeline(el, p, byStage.get(p.id)));
  showRooms(at("rooms"), model, meters, cluster, actions);
  if (detail.at) detail.update(model, meters, byStage.get(detail.at.part) || new Map());
  set(root, { "data-drawn": model.at, "data-took": (spent + performance.now() - begun).toFixed(1) });
  spent = 0;
}

// sources is what enters a pipeline a second, undefined before it is known.
function sources(part) {
  const producers = [...part.stages.values()].filter((stage) => stage.kind === "producer");
  return total(producers.map((stage) => meters.of(part).rate(stage.name)));
}

// total adds up the rates that are known.
const total = (rates) => rates.reduce((sum, r) => (Number.isFinite(r) ? (sum ?? 0) + r : sum), undefined);

function makePipeline(part) {
  const el = h("section", { class: "pipeline", id: "part-" + part.id });
  el.graph = new Graph((name, from) => {
    const node = el.graph.picture.nodes.find((n) => n.id === name);
    detail.open(part.id, name, node?.members, from);
    draw();
  });
  el.title_ = h("h2", {});
  el.state = h("span", { class: "chip" });
  el.flow = h("span", { class: "quiet" });
  el.panels = h("div", { class: "panels" });
  const head = h("header", {}, el.title_, el.state, el.flow);
  if (part.kind === "pipeline") head.append((el.controls = new Controls(actions, part.id)).el);
  el.append(head, el.graph.el, h("p", { class: "words key" }, "On a pipe: events a second; events in flight ⁄ asked for."), el.panels);
  return el;
}

function showPipeline(el, part, found) {
  const d = part.data, m = meters.of(part);
  say(el.title_, part.name);
  const state = part.kind === "stages" ? "" : d.draining ? "draining" : d.paused ? "paused" : d.running ? "running" : "not running";
  say(el.state, part.late ? "no reply" : state);
  set(el.state, { hidden: !state && !part.late, "data-state": part.late ? "late" : state });
  const limit = d.rate?.PerSecond ?? d.rate?.per_second ?? 0;
  say(el.flow, `${rate(sources(part))}/s in · ${plural(part.stages.size, "stage")}${d.stages_left ? ` and ${count(d.stages_left)} that are not shown` : ""}${limit > 0 ? ` · limited to ${rate(limit)}/s` : ""}`);
  el.controls?.update(d.paused, model.control);
  el.graph.update(picture(part, m, found));
  showPanels(el.panels, part, m);
}

// go brings the place of a problem into sight.
function go(problem, from) {
  const panel = problem.panel && (at(place(problem.part, problem.panel, problem.stage)) || at(`panel-${problem.part}-${problem.panel}-`) || at("panel--nodes-"));
  const node = !panel && problem.stage && nodeOf(problem);
  const target = panel || node || at("part-" + problem.part);
  if (!target) return;
  target.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  target.focus({ preventScroll: true });
  target.classList.remove("here");
  requestAnimationFrame(() => target.classList.add("here"));
  if (node) {
    detail.open(problem.part, problem.stage, undefined, from);
    draw();
  }
}

// nodeOf is the button of a problem's stage, or of the group that it is in.
function nodeOf({ part, stage }) {
  const el = at("part-" + part);
  const name = el?.graph.picture.nodes.find((n) => n.id === stage || n.members?.includes(stage))?.id;
  return [...(el?.querySelectorAll(".node") || [])].find((n) => n.dataset.name === name);
}

// status says whether what is shown is of now. What was shown when the connection was lost
// is greyed out until a whole new state has come.
function status(now) {
  if (now === live) return;
  live = now;
  set(root, { "data-live": now });
  say(at("live"), now === "live" ? "live" : now === "lost" ? "connection lost" : "connecting");
  const lost = at("lost");
  set(lost, { hidden: now !== "lost" });
  if (now === "lost") say(lost, model ? `The connection is lost. What you see is of ${clock(model.at)}, and not of now. Trying again …` : "There is no connection. Trying again …");
}

new Stream({ show: take, status });
