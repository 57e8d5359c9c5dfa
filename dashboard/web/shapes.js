// What the handlers and dispatchers of stages report, found by its shape: the page knows no
// package. Nothing here touches the page.

const second = 1e9;

// long and endless are the ages of an attempt from which on its worker is drawn as slow, and
// as one that may never return.
export const long = 2 * second;
export const endless = 30 * second;

// workOf is what the workers of a stage do, undefined if it has none.
export function workOf(stage) {
  const h = stage.handler;
  if (!h || typeof h.busy !== "number" || typeof h.stuck !== "number") return undefined;
  const workers = h.workers ?? h.goroutines ?? 0;
  if (!workers && !h.stuck) return undefined; // a step that only gathers
  const ages = h.ages_ns || [];
  return {
    workers: Math.max(workers, h.busy),
    busy: h.busy,
    stuck: h.stuck,
    long: ages.filter((a) => a >= long && a < endless).length,
    endless: ages.filter((a) => a >= endless).length,
    ages,
    waiting: h.waiting || 0,
    pausing: h.pausing || 0,
    retries: h.retries ?? h.restarts ?? 0,
    failures: h.failures ?? h.failed ?? 0,
    oldest: h.oldest_ns || 0,
    paused: h.paused === true,
  };
}

// cells are the workers one by one, in the order stuck, long, busy, idle. A stuck worker is
// drawn beside the others, since another has taken its place.
export function cells(work) {
  const bad = work.stuck + work.endless;
  const slow = Math.min(work.long, work.busy);
  const busy = Math.max(0, work.busy - slow - work.endless);
  const idle = Math.max(0, work.workers - work.busy);
  return [...Array(bad).fill("stuck"), ...Array(slow).fill("long"), ...Array(busy).fill("busy"), ...Array(idle).fill("idle")];
}

// fairOf is the snapshot of a fair dispatcher, undefined for any other.
export function fairOf(stage) {
  const d = stage.dispatcher;
  return d && typeof d.backlogged === "number" && typeof d.held === "number" ? d : undefined;
}

// keysOf are the keys with the most waiting events. A flood is a key that has at least
// twenty events waiting, a fifth of all and five times as many as a usual key, among those
// that could be served: a key that is parked, or over its rate, holds up nobody.
export function keysOf(fair, most = 20) {
  const top = (fair.top || []).slice(0, most).map((k) => ({
    key: typeof k.key === "string" ? k.key : JSON.stringify(k.key),
    events: k.events,
    bytes: k.bytes,
    parked: k.parked === true,
    left: k.left_ns || 0,
  }));
  for (const key of top) key.still = key.parked || key.left >= second;
  const others = (fair.top || []).map((k) => k.events);
  for (let i = others.length; i < fair.backlogged; i++) others.push(1); // those that the list leaves out
  others.sort((a, b) => a - b);
  const usual = others.length > 1 ? others[Math.floor((others.length - 1) / 2)] : 1;
  const served = fair.held - top.reduce((sum, k) => sum + (k.still ? k.events : 0), 0);
  for (const key of top) key.flood = !key.still && key.events >= Math.max(20, 5 * usual, served / 5);
  return top;
}

// partitionsOf are the partitions of a Kafka source, undefined for any other handler.
export function partitionsOf(data) {
  const all = data?.partitions;
  return Array.isArray(all) && all.every((p) => typeof p.lag === "number" && p.topic !== undefined) && all.length ? all : undefined;
}

// batchOf is how full the batch is that a stage gathers, undefined if it gathers none.
export function batchOf(stage) {
  const h = stage.handler;
  if (!h || !h.size) return undefined;
  const events = h.gathered ?? h.events;
  if (typeof events !== "number") return undefined;
  const open = h.open ?? 1;
  return { events, size: h.size, open, fill: Math.min(1, events / (h.size * Math.max(1, open))), batches: h.batches || 0, timeout: h.timeout_ns || 0 };
}

// waitingAt is how many events wait at a stage: in its buffer or dispatcher, in the queue of
// its source, and for a worker.
export function waitingAt(stage) {
  const fair = fairOf(stage);
  const queue = typeof stage.handler?.pushed === "number" ? stage.handler.waiting || 0 : 0;
  return Math.max(stage.buffered || 0, fair ? fair.held : 0) + queue + (workOf(stage)?.waiting || 0);
}

// lettersOf is what a stage reports of its dead letters: those that wait for their sink.
export function lettersOf(stage) {
  const d = stage.handler?.dead_letters;
  if (typeof d === "number") return { waiting: d, failing: 0 };
  return d ? { waiting: d.waiting || 0, failing: d.failing || 0, error: d.last_error } : { waiting: 0, failing: 0 };
}
