// Tests of the parts of the page that touch no page. Run with: node --test units.test.mjs
// The folder "web" beside this file is a copy of dashboard/web.
import assert from "node:assert/strict";
import { test } from "node:test";
import { opened, patched } from "./web/merge.js";
import { History, Total, edgeRates, throughput, trend } from "./web/rates.js";
import { card, layers, pipe, placed, rows } from "./web/layout.js";
import { family, gathered, joined, readable } from "./web/crowd.js";
import { batchOf, cells, fairOf, keysOf, partitionsOf, workOf } from "./web/shapes.js";
import { clusterOf } from "./web/cluster.js";
import { Meters } from "./web/meters.js";
import { problems, worst } from "./web/problems.js";
import { picture } from "./web/picture.js";
import { count, percent, plural, rate, span } from "./web/format.js";

const at = (s) => new Date(Date.UTC(2026, 0, 1) + s * 1000).toISOString();
const part = (data, kind = "pipeline", id = "0") => ({ id, kind, name: "p", data });
const model = (data, kind) => opened({ title: "t", at: at(0), interval_ms: 1000, control: true, parts: [part(data, kind)] });

test("a patch changes only the fields that it has", () => {
  const m = model({ running: true, paused: false, steps: [{ name: "a", paused: false }], stages: [{ name: "a", handled: 1, error: "x" }, { name: "b", handled: 2 }], edges: [{ id: 7, producer: "a", consumer: "b", demand: 3, in_flight: 1 }] });
  patched(m, { at: at(1), parts: [{ id: "0", data: { paused: true, steps: [{ name: "a", paused: true }], stages: [{ name: "a", handled: 5, error: null }], edges: [{ id: 7, demand: 9 }] } }] });
  const p = m.parts.get("0");
  assert.equal(m.at, Date.parse(at(1)));
  assert.equal(p.data.paused && p.data.running, true);
  assert.equal(p.steps.get("a").paused, true);
  assert.deepEqual(p.stages.get("a"), { name: "a", handled: 5 });
  assert.deepEqual(p.stages.get("b"), { name: "b", handled: 2 });
  assert.deepEqual(p.edges.get(7), { id: 7, producer: "a", consumer: "b", demand: 9, in_flight: 1 });
});

test("what is gone goes, and comes again whole", () => {
  const m = model({ stages: [{ name: "a" }, { name: "b" }], edges: [{ id: 1, producer: "a", consumer: "b" }], steps: [{ name: "b" }] });
  patched(m, { at: at(1), parts: [{ id: "0", data: { gone: ["b"], gone_edges: [1], gone_steps: ["b"] } }] });
  const p = m.parts.get("0");
  assert.deepEqual([p.stages.size, p.edges.size, p.steps.size], [1, 0, 0]);
  patched(m, { at: at(2), parts: [{ id: "0", data: { stages: [{ name: "b", handled: 4 }] } }, part({ x: 1 }, "topics", "9")] });
  assert.equal(p.stages.get("b").handled, 4);
  assert.equal(m.parts.get("9").data.x, 1);
  patched(m, { at: at(3), parts: [{ id: "9", late: true }] });
  assert.equal(m.parts.get("9").late, true);
});

test("rates come from totals and the server's times", () => {
  const t = new Total();
  assert.equal(t.observe(0, 100), undefined);
  assert.equal(t.observe(2000, 300), 100);
  assert.equal(t.observe(3000, 300), 0);
  assert.equal(t.observe(3000, 999), 0, "the same moment again");
  assert.equal(t.observe(4000, 5), undefined, "made anew");
  assert.equal(t.observe(5000, 15), 10);
  assert.equal(throughput({ kind: "producer", delivered: 3, handled: 0 }), 3);
  assert.equal(throughput({ kind: "consumer", handled: 4 }), 4);
});

test("a rate is shared by subscriptions", () => {
  const edges = [
    { id: 1, producer: "a", consumer: "b" }, { id: 2, producer: "a", consumer: "c" }, // a broadcast
    { id: 3, producer: "b", consumer: "d" }, { id: 4, producer: "c", consumer: "d" }, // a merge
  ];
  const out = { a: 10, b: 10, c: 10, d: 0 }, into = { b: 10, c: 10, d: 20 };
  const r = edgeRates(edges, (n) => out[n], (n) => into[n]);
  assert.deepEqual([1, 2, 3, 4].map((id) => r.get(id)), [10, 10, 10, 10]);
});

test("lag grows if its line does, not if it jumps", () => {
  const lag = (f, n = 20) => {
    const h = new History();
    for (let i = 0; i < n; i++) h.add(i * 1000, f(i));
    return trend(h, (n - 1) * 1000);
  };
  assert.equal(lag((i) => 100 + 30 * i), "growing");
  assert.equal(lag((i) => 900 - 30 * i), "shrinking");
  assert.equal(lag((i) => 50 + 20 * (i % 2)), "steady");
  assert.equal(lag((i) => 100_000 + i), "steady", "a little of a lot");
  assert.equal(lag((i) => 100 + 300 * i, 3), undefined, "too few");
  const before = new History();
  for (let i = 0; i < 60; i++) before.add(i * 1000, i < 30 ? 50 * i : 1500);
  assert.equal(trend(before, 59_000), "steady", "it grew, but not in the last 30 seconds");
});

test("pipes lead onward, also around a circle", () => {
  const edges = [["a", "b"], ["b", "c"], ["a", "c"], ["c", "b"], ["x", "c"]].map(([from, to]) => ({ from, to }));
  const layer = layers(["a", "b", "c", "x"], edges);
  assert.deepEqual(Object.fromEntries(layer), { a: 0, b: 1, c: 2, x: 0 });
  const crossed = [["a", "d"], ["b", "c"]].map(([from, to]) => ({ from, to }));
  assert.deepEqual(rows(["a", "b", "c", "d"], crossed, layers(["a", "b", "c", "d"], crossed)), [["a", "b"], ["d", "c"]], "no crossing");
});

test("no two nodes overlap, and a phone's are within its width", () => {
  const names = Array.from({ length: 23 }, (_, i) => "n" + i);
  const edges = names.slice(1).map((to, i) => ({ from: names[Math.floor(i / 2)], to }));
  for (const [width, narrow] of [[1200, false], [350, true]]) {
    const { boxes, width: all, height } = placed(names, edges, width, narrow);
    const list = [...boxes.values()];
    assert.equal(list.length, 23);
    list.forEach((a, i) => {
      assert.ok(a.x >= 0 && a.x + a.w <= all + 0.5 && a.y >= 0 && a.y + a.h <= height + 0.5);
      for (const b of list.slice(i + 1)) assert.ok(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y);
    });
    if (narrow) assert.ok(all <= width);
    assert.match(pipe(list[0], list[1], narrow).d, /^M[\d. ]+C[\d. -]+$/);
  }
  assert.ok(placed(["a", "b"], [{ from: "a", to: "b" }], 1200, false).width <= 1200);
  assert.ok(placed(["a"], [], 1200, false).boxes.get("a").w >= card.width);
});

test("a thousand stages become a few groups", () => {
  const names = Array.from({ length: 1000 }, (_, i) => `${["fetch", "parse"][i % 2]}-${i}`);
  assert.deepEqual([...gathered(names, () => 0).keys()], ["fetch", "parse"]);
  const odd = Array.from({ length: 500 }, (_, i) => "s" + i.toString(36) + "x");
  const groups = gathered(odd, (n) => (n === odd[321] ? 1 : 0));
  assert.equal(groups.size, readable);
  assert.ok(groups.has(odd[321]), "the one with a problem is shown by itself");
  assert.equal([...groups.values()].flat().length, 500);
  assert.equal(family("worker 12"), "worker");
  assert.equal(family("42"), "42");
  const sum = joined([{ producer: "a1", consumer: "b1", rate: 2, in_flight: 1, demand: 1 }, { producer: "a2", consumer: "b2", rate: 3, in_flight: 1, demand: 1 }, { producer: "a1", consumer: "a2" }], (n) => n[0]);
  assert.deepEqual(sum.map((e) => [e.from, e.to, e.n, e.rate, e.inFlight]), [["a", "b", 2, 5, 2]]);
});

test("workers are cells", () => {
  const s = 1e9;
  const work = workOf({ handler: { workers: 4, busy: 3, stuck: 1, ages_ns: [40 * s, 3 * s, 1] } });
  assert.deepEqual(cells(work), ["stuck", "stuck", "long", "busy", "idle"]);
  assert.deepEqual(cells(workOf({ handler: { goroutines: 2, busy: 1, stuck: 0 } })), ["busy", "idle"]);
  assert.equal(workOf({ handler: { pushed: 1 } }), undefined);
  assert.equal(batchOf({ handler: { size: 10, gathered: 5, open: 1 } }).fill, 0.5);
  assert.equal(batchOf({ handler: { size: 10 } }), undefined);
});

test("a flood is a key that towers above the usual one", () => {
  const fair = (events, backlogged = events.length, more = {}) => ({ held: events.reduce((a, b) => a + b, 0) + backlogged - events.length, backlogged, top: events.map((n, i) => ({ key: "k" + i, events: n, ...more })) });
  const floods = (f) => keysOf(f).filter((k) => k.flood).map((k) => k.key);
  assert.deepEqual(floods(fair([500, 12, 10, 9])), ["k0"]);
  assert.deepEqual(floods(fair([12, 11, 10])), [], "all have some");
  assert.deepEqual(floods(fair([900, 850, 10, 9, 8])), ["k0", "k1"], "two at once");
  assert.deepEqual(floods(fair([100, 90, 80, 70])), [], "all have much");
  assert.deepEqual(floods(fair([200], 400)), ["k0"], "399 have one each");
  assert.deepEqual(floods(fair([900, 30, 2, 2, 2])), ["k0"], "a small one beside a flood is none");
  assert.deepEqual(floods(fair([500, 2], 2, { left_ns: 5e9 })), [], "one that is held back holds up nobody");
  assert.deepEqual(floods(fair([4, 3])), []);
  assert.ok(fairOf({ dispatcher: fair([1]) }));
  assert.equal(fairOf({ dispatcher: { subscriptions: 1, demand: 2 } }), undefined);
});

test("what needs attention is said, the worst first", () => {
  const lagging = (lag) => [{ topic: "t", partition: 0, lag }, { topic: "t", partition: 1, lag: 5, held: true }];
  const stages = (i) => [
    { name: "in", kind: "producer", delivered: i, handler: { partitions: lagging(100 + 50 * i) }, discarded: { expired: i } },
    { name: "work", kind: "consumer", handled: i, handler: { workers: 2, busy: 1, stuck: 1, failures: i } },
  ];
  const m = model({ running: true, stages: stages(0), edges: [], steps: [{ name: "work", state: "running", restarts: 2, error: "boom" }] });
  const meters = new Meters();
  meters.observe(m);
  for (let i = 1; i < 9; i++) {
    patched(m, { at: at(i), parts: [{ id: "0", data: { stages: stages(i) } }] });
    assert.equal(meters.observe(m), true);
    assert.equal(meters.observe(m), false, "an old state is not taken in twice");
  }
  const found = problems(m, meters, [{ name: "b", missing: true }]);
  assert.deepEqual(found.map((p) => p.severity), ["bad", "bad", "warn", "warn", "warn", "note", "note"]);
  assert.deepEqual(new Set(found.map((p) => p.kind)), new Set(["stuck", "node", "failures", "growing", "discards", "restart", "paused"]));
  assert.equal(worst(found, "0").get("work")[0].kind, "stuck");
  const { nodes, edges } = picture(m.parts.get("0"), meters.of(m.parts.get("0")), worst(found, "0"));
  assert.equal(edges.length, 0);
  assert.match(nodes[1].label, /^work, consumer, 1 events a second, 1 of 2 workers busy, 1 worker of work is stuck/);
  assert.deepEqual(nodes[1].cells, ["stuck", "busy", "idle"]);
  assert.equal(partitionsOf({ partitions: [{ name: "0", held: 1 }] }), undefined, "a dispatcher's partitions are others");
});

test("a server whose clock is behind is begun with anew", () => {
  const meters = new Meters();
  const of = (s, n) => opened({ at: at(s), parts: [part({ stages: [{ name: "a", kind: "consumer", handled: n }] })] });
  const see = (m) => (meters.begin(m), meters.observe(m), meters.of(m.parts.get("0")).rate("a"));
  assert.deepEqual([see(of(100, 0)), see(of(102, 20)), see(of(50, 20)), see(of(51, 25))], [undefined, 10, undefined, 5]);
});

test("a node that was seen and is named no more is missing", () => {
  const seen = new Map();
  const of = (nodes, more = {}) => opened({ at: at(0), parts: [part({ node: "a", nodes, ...more }, "nodes")] });
  const names = (m) => clusterOf(m, seen).map((n) => n.name + (n.missing ? "!" : ""));
  assert.deepEqual(names(of(["b", "c"])), ["a", "b", "c"]);
  assert.deepEqual(names(of(["b"])), ["a", "b", "c!"]);
  assert.deepEqual(names(of(["b", "c"])), ["a", "b", "c"]);
  assert.deepEqual(names(of(["b"], { connected: false })), ["a", "b!", "c!"]);
});

test("numbers are read as people do", () => {
  assert.deepEqual([0, 999.6, 9999, 12_345, 123_456, 1_500_000].map(count), ["0", "1,000", "9,999", "12.3k", "123k", "1.5M"]);
  assert.deepEqual([undefined, 0, 0.01, 2.54, 1490].map(rate), ["–", "0", "<0.1", "2.5", "1,490"]);
  assert.deepEqual([0, 1e3, 4e6, 1.5e9, 598e9, 7200e9].map(span), ["0 ms", "<1 ms", "4 ms", "1.5 s", "9 min 58 s", "2 h 00 min"]);
  assert.deepEqual([percent(999, 1000), percent(5, 5), percent(1, 0)], ["99\u00a0%", "100\u00a0%", "–"]);
  assert.equal(plural(1, "event") + plural(2, "event"), "1 event2 events");
});
