// The drawer with all that is known of one stage, or of a group of stages.
import { each, h, say, set, styled } from "./dom.js";
import { count, percent, rate, span, words } from "./format.js";
import { batchOf, cells, fairOf, waitingAt, workOf } from "./shapes.js";
import { showCells } from "./cells.js";
import { Controls } from "./control.js";
import { figure } from "./rooms.js";

const shown = 60; // members of a group

// Detail is the drawer. It stays on its stage until it is closed.
export class Detail {
  constructor(el, actions) {
    this.el = el;
    this.actions = actions;
    [this.title, this.kind] = [el.querySelector("h2"), el.querySelector(".kindOf")];
    this.body = el.querySelector(".body");
    el.querySelector(".close").onclick = () => this.close();
    el.onkeydown = (e) => e.key === "Escape" && this.close();
  }

  // open shows a stage, or a group if members is set, and remembers where the focus was.
  open(part, name, members, from) {
    this.at = { part, name, members };
    this.from = from;
    this.body.replaceChildren();
    this.body.known = undefined;
    this.build();
    set(this.el, { hidden: false });
    this.title.focus();
  }

  close() {
    set(this.el, { hidden: true });
    this.at = undefined;
    (document.contains(this.from) ? this.from : document.querySelector(".node"))?.focus();
  }

  build() {
    this.controls = undefined;
    this.problems = h("ul", { class: "troubles" });
    this.workers = h("div", { class: "workers", hidden: true }, h("h3", {}, "Workers"), h("div", { class: "cells large" }), h("p", { class: "words" }));
    this.batch = h("div", { hidden: true }, h("h3", {}, "Batch"), h("div", { class: "fill large" }, h("span", {})), h("p", { class: "words" }));
    this.figures = h("dl", { class: "figures" });
    this.zeros = h("p", { class: "words" });
    this.links = h("ul", { class: "links" });
    this.slot = h("div", {});
    this.filter = h("input", { type: "search", "aria-label": "Find a stage by its name", placeholder: "Find by name" });
    this.list = h("ul", { class: "members" });
    if (this.at.members) this.body.append(this.filter, this.list);
    else this.body.append(this.problems, this.workers, this.batch, this.slot, h("h3", {}, "Figures"), this.figures, this.zeros, h("h3", {}, "Linked with"), this.links);
  }

  update(model, meters, found) {
    const part = this.at && model.parts.get(this.at.part);
    if (!part) return;
    const m = meters.of(part);
    if (this.at.members) return this.showMembers(part, m, found);
    const stage = part.stages.get(this.at.name);
    say(this.title, this.at.name);
    if (!stage) return say(this.kind, "This stage is gone.");
    const step = part.steps.get(stage.name);
    say(this.kind, [stage.kind.replace("_", "-"), step?.kind, step?.state ?? stage.phase].filter(Boolean).join(" · "));
    each(this.problems, found.get(stage.name) || [], (p) => p.text, (p) => h("li", { "data-severity": p.severity }, p.text));
    this.showWorkers(stage);
    this.showBatch(stage);
    this.showFigures(stage, step, m);
    each(this.links, [...part.edges.values()].filter((e) => e.producer === stage.name || e.consumer === stage.name), (e) => e.id, () => h("li", {}), (li, e) => {
      const to = e.producer === stage.name ? `to ${e.consumer}` : `from ${e.producer}`;
      say(li, `${to}: ${rate(m.edges.get(e.id))}/s, ${count(e.in_flight)} in flight, ${count(e.demand)} asked for of at most ${count(part.stages.get(e.consumer)?.handler?.max_demand ?? e.max_demand)}${e.paused ? ", paused" : ""}`);
    });
    if (!step) return;
    if (!this.controls) {
      const work = workOf(stage);
      const resize = work !== undefined && stage.handler.workers !== undefined;
      const usual = ["pause", "rate", ...(resize ? ["resize"] : []), ...(stage.kind !== "producer" ? ["restart"] : []), "drain"];
      // The program has said of a stage that is no step what is possible.
      this.controls = new Controls(this.actions, part.id, stage.name, { can: step.actions ?? usual, workers: step.workers ?? work?.workers, rateOf: step.rate_of });
      this.slot.append(this.controls.el);
    }
    this.controls.update(step.paused, model.control);
  }

  showWorkers(stage) {
    const work = workOf(stage);
    set(this.workers, { hidden: !work });
    if (!work) return;
    showCells(this.workers.children[1], cells(work), 128);
    const all = [`${work.busy} of ${count(work.workers)} busy`];
    if (work.stuck + work.endless) all.push(`${work.stuck + work.endless} stuck`);
    if (work.long) all.push(`${work.long} slow`);
    if (work.ages.length) all.push(`the longest for ${span(work.ages[0])}`);
    if (work.waiting) all.push(`${count(work.waiting)} events wait for one`);
    if (work.pausing) all.push(`${count(work.pausing)} pause before another attempt`);
    say(this.workers.lastChild, all.join(", "));
  }

  showBatch(stage) {
    const batch = batchOf(stage);
    set(this.batch, { hidden: !batch });
    if (!batch) return;
    styled(this.batch.children[1].firstChild, { width: Math.round(100 * batch.fill) + "%" });
    say(this.batch.lastChild, `${count(batch.events)} of ${count(batch.size * Math.max(1, batch.open))} events (${percent(batch.events, batch.size * Math.max(1, batch.open))}), ${count(batch.batches)} batches so far${batch.timeout ? `, at most ${span(batch.timeout)} each` : ""}`);
  }

  showFigures(stage, step, m) {
    const rows = [["events a second", rate(m.rate(stage.name))], ["waiting", count(waitingAt(stage))]];
    if (step?.workers) rows.push(["workers", count(step.workers)]);
    if (step?.restarts) rows.push(["made anew", count(step.restarts) + " times"]);
    if (step?.error) rows.push(["last error", step.error]);
    const skip = new Set(["name", "kind", "phase"]);
    numbers(rows, stage, "", skip);
    for (const [reason, n] of Object.entries(stage.discarded || {})) rows.push([`discarded: ${words(reason)}`, count(n)]);
    numbers(rows, stage.handler, "", new Set(["workers", "busy", "size"]));
    if (typeof stage.handler?.dead_letters === "object") numbers(rows, stage.handler.dead_letters, "dead letters: ", skip);
    numbers(rows, fairOf(stage) || stage.dispatcher, "dispatcher: ", skip);
    const zeros = rows.filter((r) => ["0", "0 B", "0 ms"].includes(r[1]) && r[0] !== "waiting");
    say(this.zeros, zeros.length ? `0: ${zeros.map((r) => r[0]).join(", ")}` : "");
    each(this.figures, rows.filter((r) => !zeros.includes(r)), (r) => r[0], (r) => h("div", {}, h("dt", {}, r[0]), h("dd", {})), (el, r) => say(el.lastChild, r[1]));
  }

  showMembers(part, m, found) {
    const all = this.at.members.filter((n) => part.stages.has(n));
    say(this.title, this.at.name);
    say(this.kind, `${count(all.length)} stages, the ones with a problem first`);
    const wanted = this.filter.value.trim().toLowerCase();
    const grave = (n) => ({ bad: 3, warn: 2, note: 1 })[found.get(n)?.[0]?.severity] || 0;
    const some = (wanted ? all.filter((n) => n.toLowerCase().includes(wanted)) : all).sort((a, b) => grave(b) - grave(a) || (m.rate(b) || 0) - (m.rate(a) || 0));
    each(this.list, some.slice(0, shown), (n) => n, (n) => h("li", {}, h("button", { type: "button", class: "member", onclick: () => this.open(this.at.part, n, undefined, this.from) }, h("span", {}), h("span", { class: "quiet" }))), (li, n) => {
      set(li.firstChild, { "data-severity": found.get(n)?.[0]?.severity });
      say(li.firstChild.firstChild, n);
      say(li.firstChild.lastChild, `${rate(m.rate(n))}/s · ${count(waitingAt(part.stages.get(n)))} waiting`);
    });
  }
}

// numbers adds all figures of an object, but for the zero ones of little interest.
function numbers(rows, object, prefix, skip) {
  for (const [name, value] of Object.entries(object || {})) {
    if (skip.has(name) || (typeof value !== "number" && typeof value !== "string")) continue;
    const text = typeof value === "number" ? figure(name, value) : value;
    const label = prefix + words(name);
    if (text !== "" && !rows.some((r) => r[0] === label)) rows.push([label, text]);
  }
}
