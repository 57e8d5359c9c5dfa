// What the graph of a pipeline shows: its nodes and pipes. Nothing here touches the page.
import { count, plural, rate, span } from "./format.js";
import { gathered, joined } from "./crowd.js";
import { batchOf, cells, waitingAt, workOf } from "./shapes.js";

const kinds = { producer: "producer", producer_consumer: "producer-consumer", "producer-consumer": "producer-consumer", consumer: "consumer" };
const weight = { bad: 1e9, warn: 1e6, note: 1e3 };

// picture returns the nodes and pipes of a part. found are the problems by stage.
export function picture(part, meters, found) {
  const names = [...part.stages.keys()];
  const rank = (n) => (found.get(n) || []).reduce((sum, p) => sum + weight[p.severity], 0) + (meters.rate(n) || 0) / 1e3;
  const groups = gathered(names, rank);
  const groupOf = new Map();
  for (const [group, members] of groups) for (const n of members) groupOf.set(n, group);
  const nodes = [...groups].map(([id, members]) => (members.length === 1 ? one(part, members[0], meters, found) : many(part, id, members, meters, found)));
  const edges = [...part.edges.values()].map((e) => ({ ...e, rate: meters.edges.get(e.id) }));
  return { nodes, edges: joined(edges, (n) => groupOf.get(n)) };
}

function one(part, name, meters, found) {
  const stage = part.stages.get(name);
  const step = part.steps.get(name);
  const work = workOf(stage);
  const problems = found.get(name) || [];
  const node = {
    id: name, name, kind: kinds[stage.kind] || stage.kind,
    sort: step ? step.kind : "", phase: stage.phase,
    rate: meters.rate(name), spark: meters.flows.get(name)?.history.values || [],
    waiting: waitingAt(stage), oldest: work?.oldest || 0, cells: work ? cells(work) : undefined, batch: batchOf(stage),
    severity: problems[0]?.severity || "", problem: problems[0]?.kind || "", paused: step?.paused || false,
    members: undefined,
  };
  node.label = spoken(node, work, problems);
  return node;
}

// spoken is what a screen reader says of a node.
function spoken(node, work, problems) {
  const all = [`${node.name}, ${node.kind}`, `${rate(node.rate)} events a second`];
  if (node.waiting) all.push(`${count(node.waiting)} waiting`);
  if (node.oldest >= 1e9) all.push(`the oldest for ${span(node.oldest)}`);
  if (work) all.push(`${work.busy} of ${plural(work.workers, "worker")} busy`);
  if (node.batch) all.push(`batch ${count(node.batch.events)} of ${count(node.batch.size)}`);
  return [...all, ...problems.map((p) => p.text.replace(/\.$/, ""))].join(", ");
}

// many is a node that stands for several stages.
function many(part, id, members, meters, found) {
  const kind = kinds[part.stages.get(members[0]).kind];
  let total = 0, waiting = 0, gravest, troubled = 0;
  const spark = [];
  for (const name of members) {
    total += meters.rate(name) || 0;
    waiting += waitingAt(part.stages.get(name));
    const history = meters.flows.get(name)?.history.values || [];
    history.forEach((v, i) => (spark[i] = (spark[i] || 0) + v));
    const p = found.get(name)?.[0];
    if (p) troubled++;
    if (p && (!gravest || weight[p.severity] > weight[gravest.severity])) gravest = p;
  }
  return {
    id, name: id, kind, sort: plural(members.length, "stage"), phase: "running", rate: total, spark, waiting, troubled,
    severity: gravest?.severity || "", problem: gravest?.kind || "", paused: false, members,
    label: `${id}, ${plural(members.length, "stage")}, ${rate(total)} events a second${troubled ? `, ${troubled} with a problem` : ""}`,
  };
}
