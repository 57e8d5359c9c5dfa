// What needs attention, in words, the worst first. Each problem names its place on the page:
// the part, and the stage or panel within it. Nothing here touches the page.
import { count, percent, plural, span } from "./format.js";
import { fairOf, keysOf, lettersOf, partitionsOf, workOf } from "./shapes.js";

const order = { bad: 0, warn: 1, note: 2 };

// problems returns all that is wrong: severity "bad", "warn" or "note", a kind that chooses
// the sign, the text, and the place.
export function problems(model, meters, cluster = []) {
  const found = [];
  for (const part of model.parts.values()) {
    const m = meters.of(part);
    const add = (severity, kind, text, place) => found.push({ severity, kind, text, part: part.id, ...place });
    if (part.stages) ofGraph(part, m, add);
    else ofPart(part, m, add);
  }
  for (const node of cluster) if (node.missing) found.push({ severity: "bad", kind: "node", text: `The node ${node.name} is missing.`, panel: "nodes", id: node.name });
  return found.sort((a, b) => order[a.severity] - order[b.severity]);
}

function ofGraph(part, m, add) {
  const data = part.data;
  if (data.paused) add("note", "paused", `The pipeline ${part.name} is paused.`, {});
  if (data.draining) add("note", "paused", `The pipeline ${part.name} drains: it takes in nothing more.`, {});
  for (const step of part.steps.values()) ofStep(step, m, add);
  for (const stage of part.stages.values()) ofStage(stage, m, add);
  const lost = [...m.discards].filter(([reason]) => m.lately("discards/" + reason));
  if (lost.length) add("warn", "discards", `Events were discarded in the last minute: ${lost.map(([reason, { total }]) => `${reason.replaceAll("_", " ")} (${count(total)} so far)`).join(", ")}.`, { panel: "discards" });
}

function ofStep(step, m, add) {
  const at = { stage: step.name };
  const why = step.error ? `: ${step.error}` : "";
  if (step.state === "restarting") add("bad", "restart", `${step.name} has died and is being made anew${why}.`, at);
  else if (step.state === "stopped" && step.error) add("bad", "error", `${step.name} has stopped${why}.`, at);
  else if (step.restarts > 0) {
    add(m.lately("restarts/" + step.name) ? "warn" : "note", "restart", `${step.name} was made anew ${plural(step.restarts, "time")}${why}.`, at);
  }
  if (step.paused) add("note", "paused", `${step.name} is paused.`, at);
}

function ofStage(stage, m, add) {
  const at = { stage: stage.name };
  if (stage.busy) add("warn", "long", `${stage.name} does not reply: one of its handlers is still running.`, at);
  if (stage.error && stage.phase === "stopped") add("bad", "error", `${stage.name} has failed: ${stage.error}.`, at);
  const work = workOf(stage);
  if (work) {
    const stuck = work.stuck + work.endless;
    if (stuck) add("bad", "stuck", `${plural(stuck, "worker")} of ${stage.name} ${stuck === 1 ? "is" : "are"} stuck${work.endless ? ", for " + span(work.ages[0]) : ""}.`, at);
    if (work.long) add("warn", "long", `${plural(work.long, "worker")} of ${stage.name} ${work.long === 1 ? "takes" : "take"} long: ${span(work.ages[work.endless])} so far.`, at);
    if (m.lately("failures/" + stage.name)) add("warn", "failures", `Events fail for good in ${stage.name}: ${count(work.failures)} so far.`, at);
  }
  const letters = lettersOf(stage);
  if (letters.waiting) add(letters.failing ? "bad" : "note", "letters", `${plural(letters.waiting, "dead letter")} of ${stage.name} cannot be stored yet${letters.error ? `: ${letters.error}` : ""}.`, at);
  ofKeys(stage, add);
  ofPartitions(stage.handler, stage.name, m, add);
}

function ofKeys(stage, add) {
  const fair = fairOf(stage);
  if (!fair) return;
  const at = { stage: stage.name, panel: "keys" };
  const keys = keysOf(fair);
  for (const k of keys.filter((k) => k.flood).slice(0, 3)) {
    add("warn", "flood", `${k.key} floods ${stage.name}: ${count(k.events)} of ${count(fair.held)} waiting events are its own (${percent(k.events, fair.held)}).`, { ...at, id: k.key });
  }
  const still = keys.filter((k) => k.still);
  for (const k of still.slice(0, 3)) {
    add("note", "parked", `${k.key} is ${k.parked ? "parked" : "held back for " + span(k.left)} at ${stage.name}, with ${plural(k.events, "event")}.`, { ...at, id: k.key });
  }
  const more = Math.max(fair.parked || 0, still.filter((k) => k.parked).length) - still.slice(0, 3).filter((k) => k.parked).length;
  if (more > 0) add("note", "parked", `${plural(more, still.length ? "more key" : "key")} ${more === 1 ? "is" : "are"} parked at ${stage.name}.`, at);
}

function ofPartitions(data, owner, m, add) {
  for (const p of partitionsOf(data) || []) {
    const at = { stage: owner, panel: "partitions", id: `${p.topic}/${p.partition}` };
    const name = `Partition ${p.partition} of ${p.topic}`;
    if (p.stopped) add("bad", "stopped", `${name} is stopped: a batch cannot be read.`, at);
    else if (p.held) add("note", "paused", `${name} is paused, ${count(p.lag)} behind.`, at);
    else if (m.trendOf(owner, p) === "growing") add("warn", "growing", `${name} falls behind: its lag grows, ${count(p.lag)} now.`, at);
  }
}

// ofPart is for all that is no graph: sockets, topics, letters and the like.
function ofPart(part, m, add) {
  const d = part.data, at = { panel: part.kind };
  if (part.kind === "letters" && (d.stored > 0 || d.letters > 0)) add("warn", "letters", `${plural(d.stored ?? d.letters, "dead letter")} in ${part.name}.`, at);
  if (d.connected === false) add("bad", "node", `${part.name}: the other nodes cannot be reached.`, { panel: "nodes" });
  if (d.slow_count > 0) add("note", "long", `${plural(d.slow_count, "client")} of ${part.name} ${d.slow_count === 1 ? "does" : "do"} not keep up.`, at);
  const hung = (d.hung_handlers || 0) + (d.hung_connects || 0);
  if (hung) add("bad", "stuck", `${plural(hung, "handler")} of ${part.name} ${hung === 1 ? "does" : "do"} not end.`, at);
  ofPartitions(d, part.name, m, (severity, kind, text, { id }) => add(severity, kind, text, { panel: part.kind, id }));
}

// worst returns the severity of a stage's gravest problem, by its name.
export function worst(found, part) {
  const by = new Map();
  for (const p of found) {
    if (p.part !== part || !p.stage) continue;
    const all = by.get(p.stage) || [];
    all.push(p);
    by.set(p.stage, all);
  }
  return by;
}
