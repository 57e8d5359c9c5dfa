// Rates and trends, from totals of two states and the server's times of them. Nothing here
// touches the page.

// keep is how many intervals a history goes back.
export const keep = 60;

// History holds the latest values of one figure, the newest last.
export class History {
  constructor(size = keep) {
    this.size = size;
    this.values = [];
    this.times = [];
  }

  add(at, value) {
    this.values.push(value);
    this.times.push(at);
    if (this.values.length > this.size) {
      this.values.shift();
      this.times.shift();
    }
  }

  get last() {
    return this.values.at(-1);
  }
}

// Total turns a count since the start into a rate. A count that has become less belongs to
// something that was made anew: its rate is not known until the next one.
export class Total {
  constructor() {
    this.history = new History();
  }

  observe(at, total) {
    if (this.at !== undefined && at > this.at) {
      this.rate = total >= this.total ? ((total - this.total) * 1000) / (at - this.at) : undefined;
      this.history.add(at, this.rate ?? 0);
    }
    if (this.at === undefined || at > this.at) {
      this.at = at;
      this.total = total;
    }
    return this.rate;
  }
}

// trend says whether a figure has grown or shrunk over the last seconds: "growing",
// "shrinking", "steady", or undefined as long as there are too few values. The line of least
// squares is what a jump of one value does not turn.
export function trend(history, now, seconds = 30) {
  let n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0, span = 0;
  for (let i = history.times.length - 1; i >= 0 && now - history.times[i] <= seconds * 1000; i--) {
    const x = (history.times[i] - now) / 1000, y = history.values[i];
    n++, (sx += x), (sy += y), (sxx += x * x), (sxy += x * y), (syy += y * y), (span = -x);
  }
  const spread = n * sxx - sx * sx;
  if (n < 5 || span < 4 || spread <= 0) return undefined;
  const covariance = n * sxy - sx * sy;
  const change = (covariance / spread) * span;
  const fit = (covariance * covariance) / (spread * Math.max(1e-9, n * syy - sy * sy)); // 1 is a straight line
  if (Math.abs(change) < Math.max(20, (0.1 * sy) / n) || fit < 0.6) return "steady";
  return change > 0 ? "growing" : "shrinking";
}

// throughput is the count of a stage that its rate is made of: what a producer has
// delivered, and what any other stage has handled.
export function throughput(stage) {
  return (stage.kind === "producer" ? stage.delivered : stage.handled) || 0;
}

// discarded adds up a stage's discards, by reason.
export function addDiscards(into, stage) {
  for (const [reason, n] of Object.entries(stage.discarded || {})) into[reason] = (into[reason] || 0) + n;
  return into;
}

// edgeRates shares what each producer delivers among its subscriptions. The server counts
// events by stage: a subscription alone at one of its ends has that end's rate, and others
// share the producer's by the rates of their consumers.
export function edgeRates(edges, out, into) {
  const from = new Map(), to = new Map();
  for (const e of edges) {
    if (from.has(e.producer)) from.get(e.producer).push(e);
    else from.set(e.producer, [e]);
    to.set(e.consumer, (to.get(e.consumer) || 0) + 1);
  }
  const rates = new Map();
  for (const [producer, all] of from) {
    const total = out(producer) || 0;
    const weights = all.map((e) => (into(e.consumer) || 0) / to.get(e.consumer));
    const sum = weights.reduce((a, b) => a + b, 0);
    all.forEach((e, i) => {
      if (all.length === 1) rates.set(e.id, total);
      else if (to.get(e.consumer) === 1) rates.set(e.id, into(e.consumer) || 0);
      else rates.set(e.id, sum > 0 ? (total * weights[i]) / sum : 0);
    });
  }
  return rates;
}
