// What the page remembers of earlier states: rates, trends, and what has happened lately.
// Nothing here touches the page.
import { History, Total, addDiscards, edgeRates, throughput, trend } from "./rates.js";
import { partitionsOf, workOf } from "./shapes.js";

// recent is how long, in milliseconds, something that has happened is worth a line.
const recent = 60_000;

// Meters observe each state once, in order.
export class Meters {
  constructor() {
    this.parts = new Map();
    this.nodes = new Map(); // each node that was ever seen, and when
  }

  // begin is called with the first state of a connection. What was remembered is of no use if
  // its server's clock is behind the last one's.
  begin(model) {
    if (model.at > this.at) return;
    this.at = undefined;
    this.parts.clear();
  }

  // observe takes in a state. It returns false if the state is not newer than the last.
  observe(model) {
    if (this.at !== undefined && !(model.at > this.at)) return false;
    this.at = model.at;
    for (const part of model.parts.values()) this.of(part).observe(part, model.at);
    for (const id of this.parts.keys()) if (!model.parts.has(id)) this.parts.delete(id);
    return true;
  }

  of(part) {
    let m = this.parts.get(part.id);
    if (m === undefined) this.parts.set(part.id, (m = new PartMeters()));
    return m;
  }
}

// PartMeters are those of one part of the program.
class PartMeters {
  constructor() {
    this.flows = new Map(); // by stage
    this.discards = new Map(); // by reason
    this.lags = new Map(); // by topic and partition
    this.events = new Map(); // when a count has last become more, by its name
    this.counts = new Map();
    this.edges = new Map();
  }

  observe(part, at) {
    this.at = at;
    if (!part.stages) {
      this.lag(part.data, part.name, at);
      this.topics(part.data, at);
      return;
    }
    const discarded = {};
    for (const stage of part.stages.values()) {
      if (!stage.busy) this.flow(stage.name).observe(at, throughput(stage)); // a busy one has told no figures
      addDiscards(discarded, stage);
      for (const [why, n] of Object.entries(stage.handler?.refused || {})) if (n > 0) discarded["refused: " + why.replaceAll("_", " ")] = n;
      this.lag(stage.handler, stage.name, at);
      this.count("failures/" + stage.name, workOf(stage)?.failures || 0, at);
    }
    for (const step of part.steps.values()) this.count("restarts/" + step.name, step.restarts || 0, at);
    for (const [reason, n] of Object.entries(discarded)) {
      if (!this.discards.has(reason)) this.discards.set(reason, new Total());
      this.discards.get(reason).observe(at, n);
      this.count("discards/" + reason, n, at);
    }
    for (const name of this.flows.keys()) if (!part.stages.has(name)) this.flows.delete(name);
    const rate = (name) => this.flows.get(name)?.rate;
    this.edges = edgeRates(part.edges.values(), rate, rate);
  }

  flow(name) {
    let f = this.flows.get(name);
    if (f === undefined) this.flows.set(name, (f = new Total()));
    return f;
  }

  rate(name) {
    return this.flows.get(name)?.rate;
  }

  // topics keeps the rates of a part without stages, by the name of its count.
  topics(data, at) {
    for (const [name, n] of Object.entries(data)) if (typeof n === "number") this.flow(name).observe(at, n);
  }

  lag(data, owner, at) {
    for (const p of partitionsOf(data) || []) {
      const key = `${owner}/${p.topic}/${p.partition}`;
      if (!this.lags.has(key)) this.lags.set(key, new History());
      this.lags.get(key).add(at, p.lag);
    }
  }

  // trendOf is the trend of a partition's lag.
  trendOf(owner, p) {
    const history = this.lags.get(`${owner}/${p.topic}/${p.partition}`);
    return history && trend(history, this.at);
  }

  count(name, n, at) {
    const before = this.counts.get(name);
    if (before !== undefined && n > before) this.events.set(name, at);
    this.counts.set(name, n);
  }

  // lately reports whether a count has become more in the last minute.
  lately(name) {
    return this.at - (this.events.get(name) ?? -Infinity) < recent;
  }
}
