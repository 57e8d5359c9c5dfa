"use strict";

// The live page: one sample of /api/stats a second feeds the figures, the
// chart and the queues; a worker (reader.js) holds the socket of one user.

const SPAN_MS = 120_000; // what the charts show
const SAMPLE_MS = 1000;
const TIMEOUT_MS = 5000;
const BREAK_MS = 10_000; // a sample covers the ten seconds before it; those further apart are not joined by a line
const RATE_SPAN_MS = 3000;
const LIST_ROWS = 50;
const MANY_QUEUED = 100; // pushes: more than wait for a moment where nobody is slow
const USER_ID = /^[A-Za-z0-9_.-]{1,64}$/;

const $ = (id) => document.getElementById(id);

// --- how figures are written ---

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const count = (n) => (Number.isFinite(n) ? whole.format(n) : "–");

// millis writes a duration that the program measured.
function millis(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 0.1) return (ms * 1000).toFixed(0) + " µs";
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return ms.toFixed(0) + " ms";
  if (ms < 100_000) return (ms / 1000).toFixed(ms < 10_000 ? 2 : 1) + " s";
  return count(ms / 1000) + " s";
}

// ownMillis writes one that this tab measured: a browser's clock is not finer.
const ownMillis = (ms) => (ms < 0.1 ? "< 0.1 ms" : millis(ms));

function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
  return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
}

const two = (n) => String(n).padStart(2, "0");

function clock(ms) {
  const d = new Date(ms);
  return two(d.getHours()) + ":" + two(d.getMinutes()) + ":" + two(d.getSeconds()) + "." + String(d.getMilliseconds()).padStart(3, "0");
}

// put changes text only where it differs, so that nothing is announced or laid
// out again for nothing.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function pill(node, text, kind) {
  put(node, text);
  node.className = "pill" + (kind ? " " + kind : "");
}

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// --- samples ---

const samples = []; // {at, stats, slow}, oldest first, a little more than SPAN_MS
const latest = () => samples.at(-1);
let failures = 0;

async function sample() {
  const sent = performance.now();
  try {
    const answer = await fetch("/api/stats", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw new Error("status " + answer.status);
    const stats = await answer.json();
    const got = performance.now();
    compareClocks(stats.now, sent, got);
    const before = latest();
    if (before && stats.uptime_s < before.stats.uptime_s) samples.length = 0; // the program was started anew
    samples.push({ at: got, stats, slow: reading.slow });
    while (samples[0].at < got - SPAN_MS - BREAK_MS) samples.shift();
    failures = 0;
    show(stats);
  } catch {
    failures++;
    showFailure();
  }
  setTimeout(sample, Math.max(100, SAMPLE_MS - (performance.now() - sent)));
}

function showFailure() {
  pill($("health"), "no answer", "bad");
  $("stale").hidden = failures < 2;
  put($("stale"), latest()
    ? "The program does not answer. The figures are from " + clock(latest().stats.now).slice(0, 8) + "; the page keeps asking."
    : "The program does not answer; the page keeps asking.");
}

// clockOffset is the server's clock minus this machine's, in ms. Half of the
// time a request takes is the error of the estimate, so the fastest request
// counts, and a difference within its error counts as none.
let clockOffset = 0;
const clockReadings = [];

function compareClocks(serverNow, sent, got) {
  if (!Number.isFinite(serverNow)) return;
  const error = (got - sent) / 2;
  clockReadings.push({ error, offset: serverNow - performance.timeOrigin - (sent + got) / 2 });
  if (clockReadings.length > 30) clockReadings.shift();
  const best = clockReadings.reduce((a, b) => (b.error < a.error ? b : a));
  const offset = Math.abs(best.offset) <= best.error + 1 ? 0 : best.offset;
  if (offset === clockOffset) return;
  clockOffset = offset;
  if (reading.worker) reading.worker.postMessage({ type: "clock", offset });
}

// rate is the growth of a counter per second over the last few samples.
function rate(read) {
  const now = latest();
  let from = null;
  for (let i = samples.length - 2; i >= 0 && now.at - samples[i].at <= RATE_SPAN_MS + SAMPLE_MS / 2; i--) from = samples[i];
  if (!from) return NaN;
  const a = read(from.stats), b = read(now.stats);
  return b >= a ? ((b - a) * 1000) / (now.stats.now - from.stats.now) : NaN;
}

const discardedSum = (stats) => Object.values(stats.discarded || {}).reduce((sum, n) => sum + n, 0);

// --- figures ---

function show(stats) {
  $("stale").hidden = true;
  if (stats.draining) pill($("health"), "draining", "warn");
  else if (!stats.ready) pill($("health"), "not ready", "warn");
  else pill($("health"), "running", "good");
  put($("source"), stats.source === "kafka" ? (stats.embedded_broker ? "Kafka, in this process" : "Kafka") : stats.source || "–");
  put($("users"), count(stats.users));
  $("cluster").hidden = !stats.node;
  put($("nodes"), [stats.node, ...(stats.nodes || [])].join(", "));
  put($("uptime"), duration(stats.uptime_s));

  put($("t-in"), count(rate((s) => s.enqueued)));
  put($("t-out"), count(rate((s) => s.delivered)));
  put($("t-queued"), count(stats.queued));
  put($("t-flight"), count(stats.in_flight));
  put($("t-discarded"), count(discardedSum(stats)));
  put($("t-connections"), count(stats.connections));
  put($("t-channels"), count(stats.channels));
  put($("t-slow"), count(stats.slow));
  $("tile-slow").classList.toggle("alert", stats.slow > 0);

  showUsers(stats);
  showSum(stats);
  showReasons(stats);
  showClients(stats.clients || {});
  showStages(stats);
  showQueues(stats);
  showSlow();
  drawChart();
}

function showSum(stats) {
  const discarded = discardedSum(stats);
  const sum = stats.delivered + stats.queued + stats.in_flight + discarded;
  const difference = stats.enqueued - sum;
  put($("l-delivered"), count(stats.delivered));
  put($("l-queued"), count(stats.queued));
  put($("l-flight"), count(stats.in_flight));
  put($("l-discarded"), count(discarded));
  put($("l-sum"), count(sum));
  put($("l-enqueued"), count(stats.enqueued));
  put($("l-diff"), (difference > 0 ? "+" : difference < 0 ? "−" : "") + count(Math.abs(difference)));
  put($("l-refused"), count(stats.refused));
  // Counters that are read at different moments can differ by what moves
  // meanwhile; what passes in a tenth of a second is taken as the bound.
  const moving = Math.max(10, (rate((s) => s.enqueued) || 0) / 10);
  if (difference === 0) pill($("sum-pill"), "equal", "good");
  else pill($("sum-pill"), "off by " + count(Math.abs(difference)), Math.abs(difference) <= moving ? "" : "bad");
}

function showReasons(stats) {
  const reasons = Object.entries(stats.discarded || {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  $("no-reasons").hidden = reasons.length > 0;
  const list = $("reasons");
  const most = reasons.length ? reasons[0][1] : 1;
  rows(list, reasons.length, () => {
    const item = element("li");
    item.append(element("span", "reason"), element("b"), element("i"));
    return item;
  });
  reasons.forEach(([reason, n], i) => {
    const [name, value, bar] = list.children[i].children;
    put(name, reason.replaceAll("_", " "));
    put(value, count(n));
    bar.style.width = Math.max(1, (100 * n) / most) + "%";
  });
}

// rows gives a list or table body exactly n children.
function rows(parent, n, make) {
  while (parent.children.length > n) parent.lastElementChild.remove();
  while (parent.children.length < n) parent.append(make());
}

function showClients(clients) {
  for (const name of ["open", "received", "duplicates", "out_of_order", "wrong_user"]) {
    const node = $("c-" + name);
    put(node, count(clients[name]));
    if (name !== "open" && name !== "received") node.classList.toggle("bad", clients[name] > 0);
  }
}

function showStages(stats) {
  const worker = stats.worker || {};
  put($("worker-time"), Number.isFinite(worker.p50_ms) ? "work per push: p50 " + millis(worker.p50_ms) + ", p99 " + millis(worker.p99_ms) : "");
  const stages = stats.stages || [];
  if (!stages.length) return;
  const body = $("stages");
  if (body.querySelector(".empty")) body.replaceChildren();
  rows(body, stages.length, () => {
    const row = element("tr");
    const name = element("th");
    name.scope = "row";
    row.append(name, element("td"));
    for (let i = 0; i < 4; i++) row.append(element("td", "num"));
    return row;
  });
  stages.forEach((stage, i) => {
    const counter = stage.kind === "consumer" ? "handled" : "emitted";
    const inFlight = (stage.subscriptions || []).reduce((sum, s) => sum + (s.in_flight || 0), 0);
    const perSecond = rate((s) => ((s.stages || []).find((other) => other.name === stage.name) || {})[counter]);
    const values = [stage.name, String(stage.kind).replaceAll("_", "-"), count(stage.demand), count(stage.buffered), count(inFlight), count(perSecond)];
    body.children[i].firstChild.dataset.kind = values[1]; // narrow pages have no column for it
    values.forEach((text, j) => put(body.children[i].children[j], text));
  });
}

// --- drawing ---

let ink = {};

function readInk() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["text", "muted", "line", "faint", "card", "heavy", "light", "queue", "shade"]) ink[name] = style.getPropertyValue("--" + name).trim();
}

// surface sizes a canvas to its box in device pixels and answers a context that
// counts in CSS pixels.
function surface(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  return { g, width, height };
}

const SERIES = [
  { group: "light", quantile: "p50" },
  { group: "light", quantile: "p99" },
  { group: "heavy", quantile: "p50" },
  { group: "heavy", quantile: "p99" },
].map((s) => ({
  ...s,
  name: s.group + "." + s.quantile,
  read(stats) {
    const of = stats[s.group];
    if (!of || !of.count || (s.group === "heavy" && !stats.heavy_user)) return NaN;
    return of[s.quantile + "_ms"];
  },
}));

// decades answers the powers of ten between which all values lie, at least three.
function decades() {
  let low = Infinity, high = -Infinity;
  for (const { stats } of samples) {
    for (const series of SERIES) {
      const v = series.read(stats);
      if (v > 0) {
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
    }
  }
  if (low === Infinity) return [-1, 2];
  let bottom = Math.max(-3, Math.floor(Math.log10(low)));
  let top = Math.max(bottom + 1, Math.ceil(Math.log10(high)));
  while (top - bottom < 3) {
    if (top < 2) top++;
    else bottom--;
  }
  return [bottom, top];
}

const decadeName = (exponent) => (exponent >= 3 ? whole.format(10 ** (exponent - 3)) + " s" : 10 ** exponent + " ms");

const CHART_LEFT = 72; // px for the names of the decades
const CHART_RIGHT = 12;
let pointed = null; // ms before now that the reader of the chart points at, or null

function drawChart() {
  const canvas = $("chart");
  const { g, width, height } = surface(canvas);
  if (width < 50) return;
  const left = CHART_LEFT, right = width - CHART_RIGHT, top = 10, bottom = height - 38;
  const now = samples.length ? latest().at : performance.now();
  const [low, high] = decades();
  const x = (at) => right - ((now - at) / SPAN_MS) * (right - left);
  const y = (ms) => bottom - ((Math.log10(Math.max(ms, 10 ** low)) - low) / (high - low)) * (bottom - top);

  g.font = "12px system-ui, sans-serif";
  shadeSlow(g, x, top, bottom, left);

  g.lineWidth = 1;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (let e = low; e <= high; e++) {
    const at = Math.round(y(10 ** e)) + 0.5;
    g.strokeStyle = ink.line;
    line(g, left, at, right, at);
    g.fillStyle = ink.muted;
    g.fillText(decadeName(e), left - 8, at);
    if (e === high || high - low > 5) continue;
    g.strokeStyle = ink.faint;
    for (const m of [2, 5]) {
      const minor = Math.round(y(m * 10 ** e)) + 0.5;
      line(g, left, minor, right, minor);
    }
  }
  g.textBaseline = "alphabetic";
  for (let s = 0; s <= 120; s += 30) {
    const at = Math.round(x(now - s * 1000)) + 0.5;
    g.strokeStyle = ink.line;
    line(g, at, top, at, bottom + 4);
    g.textAlign = s === 0 ? "right" : s === 120 ? "left" : "center";
    g.fillStyle = ink.muted;
    g.fillText(s === 0 ? "now" : "−" + s + " s", s === 120 ? at - 12 : s === 0 ? at + 2 : at, bottom + 18);
  }
  g.textAlign = "center";
  g.fillText("time", (left + right) / 2, height - 4);
  g.save();
  g.translate(11, (top + bottom) / 2);
  g.rotate(-Math.PI / 2);
  g.fillText("latency, log scale", 0, 0);
  g.restore();

  g.save();
  g.beginPath();
  g.rect(left, top - 2, right - left + 4, bottom - top + 4);
  g.clip();
  for (const series of SERIES) drawSeries(g, series, x, y);
  g.restore();

  const read = pointed === null ? latest() : nearest(now - pointed);
  if (pointed !== null && read) drawPointer(g, read, x, y, top, bottom);
  showLegend(read, read && pointed !== null ? (now - read.at) / 1000 : 0);
}

function line(g, x1, y1, x2, y2) {
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x2, y2);
  g.stroke();
}

function shadeSlow(g, x, top, bottom, left) {
  g.fillStyle = ink.shade;
  let from = null;
  samples.forEach((s, i) => {
    if (s.slow && from === null) from = s.at;
    if (from !== null && (!s.slow || i === samples.length - 1)) {
      const start = Math.max(left, x(from));
      g.fillRect(start, top, Math.max(1, x(s.at) - start), bottom - top);
      from = null;
    }
  });
}

// drawSeries draws one line: the two groups differ in colour and weight, the two
// quantiles in being solid or dashed, so that no colour has to be told apart.
function drawSeries(g, series, x, y) {
  g.strokeStyle = g.fillStyle = ink[series.group];
  g.lineWidth = series.group === "heavy" ? 3 : 2;
  g.lineJoin = "round";
  g.setLineDash(series.quantile === "p50" ? [6, 4] : []);
  let run = [];
  const finish = () => {
    if (run.length === 1) {
      g.beginPath();
      g.arc(run[0][0], run[0][1], 2, 0, 2 * Math.PI);
      g.fill();
    } else if (run.length) {
      g.beginPath();
      run.forEach(([px, py], i) => (i ? g.lineTo(px, py) : g.moveTo(px, py)));
      g.stroke();
    }
    run = [];
  };
  let before = -Infinity;
  for (const { at, stats } of samples) {
    const v = series.read(stats);
    if (!Number.isFinite(v) || at - before > BREAK_MS) finish();
    if (!Number.isFinite(v)) continue;
    run.push([x(at), y(v)]);
    before = at;
  }
  finish();
  g.setLineDash([]);
}

const nearest = (at) => samples.reduce((best, s) => (!best || Math.abs(s.at - at) < Math.abs(best.at - at) ? s : best), null);

function drawPointer(g, read, x, y, top, bottom) {
  const at = Math.round(x(read.at)) + 0.5;
  g.strokeStyle = ink.muted;
  g.lineWidth = 1;
  line(g, at, top, at, bottom);
  for (const series of SERIES) {
    const v = series.read(read.stats);
    if (!Number.isFinite(v)) continue;
    g.fillStyle = ink[series.group];
    g.strokeStyle = ink.card;
    g.lineWidth = 2;
    g.beginPath();
    g.arc(at, y(v), 4.5, 0, 2 * Math.PI);
    g.fill();
    g.stroke();
  }
}

function showLegend(read, secondsAgo) {
  put($("chart-when"), pointed === null || !read ? "last two minutes" : "values " + count(secondsAgo) + " s ago");
  if (!read) return;
  const heavy = read.stats.heavy_user;
  for (const item of $("legend").children) {
    const series = SERIES.find((s) => s.name === item.dataset.series);
    item.hidden = series.group === "heavy" && !heavy;
    put(item.lastElementChild, millis(series.read(read.stats)));
    const text = series.group === "heavy" ? "User " + heavy + " (heavy)" : heavy ? "Everybody else" : "Everybody";
    put(item.querySelector("." + series.group + "-name"), text);
  }
}

let described = 0;

function describeChart() {
  if (!samples.length || performance.now() - described < 10_000) return; // seldom: it is read aloud
  described = performance.now();
  const { stats } = latest();
  const part = (who, of) => (of && of.count ? who + " p50 " + millis(of.p50_ms) + ", p99 " + millis(of.p99_ms) : who + " nothing delivered");
  const parts = [part(stats.heavy_user ? "other users" : "all users", stats.light)];
  if (stats.heavy_user) parts.unshift(part("user " + stats.heavy_user, stats.heavy));
  $("chart").setAttribute("aria-label", "Latency over the last two minutes. Now: " + parts.join("; ") + ".");
}

function pointAt(ms) {
  pointed = ms === null ? null : Math.min(SPAN_MS, Math.max(0, ms));
  drawChart();
}

$("chart").addEventListener("pointermove", (e) => {
  const left = CHART_LEFT, right = $("chart").clientWidth - CHART_RIGHT;
  pointAt(((right - e.offsetX) / (right - left)) * SPAN_MS);
});
$("chart").addEventListener("pointerleave", () => pointAt(null));
$("chart").addEventListener("blur", () => pointAt(null));
$("chart").addEventListener("keydown", (e) => {
  const step = { ArrowLeft: 1000, ArrowRight: -1000, PageUp: 10_000, PageDown: -10_000 }[e.key];
  if (step) pointAt((pointed ?? 0) + step);
  else if (e.key === "Home") pointAt(SPAN_MS);
  else if (e.key === "End") pointAt(0);
  else if (e.key === "Escape") pointAt(null);
  else return;
  e.preventDefault();
});

// --- queues ---

const depth = (stats, name) => ((stats.queues || []).find((q) => q.name === name) || {}).waiting;

function showQueues(stats) {
  const box = $("queues");
  const queues = stats.queues || [];
  rows(box, queues.length, () => {
    const figure = element("figure");
    const head = element("figcaption");
    head.append(element("span", "name"), element("b"), element("small"));
    const canvas = element("canvas");
    canvas.setAttribute("aria-hidden", "true"); // the caption says the figures
    figure.append(head, canvas);
    return figure;
  });
  queues.forEach((queue, i) => {
    const [head, canvas] = box.children[i].children;
    const [name, now, peak] = head.children;
    put(name, queue.name);
    put(now, count(queue.waiting));
    put(peak, "peak " + count(drawQueue(canvas, queue.name)));
  });
}

// drawQueue draws a queue's last two minutes and answers their peak.
function drawQueue(canvas, name) {
  const { g, width, height } = surface(canvas);
  const now = latest().at;
  const x = (at) => width - ((now - at) / SPAN_MS) * width;
  let peak = 0;
  const points = [];
  for (const { at, stats } of samples) {
    const n = depth(stats, name);
    if (!Number.isFinite(n)) continue;
    if (now - at <= SPAN_MS) peak = Math.max(peak, n);
    points.push([at, n]);
  }
  const scale = Math.max(peak, 10); // a handful is not a mountain
  const y = (n) => height - 1.5 - (n / scale) * (height - 5);
  g.strokeStyle = ink.line;
  g.lineWidth = 1;
  line(g, 0, height - 0.5, width, height - 0.5);
  if (!points.length) return peak;
  g.beginPath();
  points.forEach(([at, n], i) => (i ? g.lineTo(x(at), y(n)) : g.moveTo(x(at), y(n))));
  g.strokeStyle = ink.queue;
  g.lineWidth = 2;
  g.lineJoin = "round";
  g.stroke();
  g.lineTo(x(points.at(-1)[0]), height);
  g.lineTo(x(points[0][0]), height);
  g.closePath();
  g.globalAlpha = 0.18;
  g.fillStyle = ink.queue;
  g.fill();
  g.globalAlpha = 1;
  return peak;
}

// --- one user's socket ---

const reading = { worker: null, shared: null, user: "", slow: false, seenSlow: false, state: "", why: "", retryAt: 0, received: 0, history: [] };

let impatience = 0;

// sharedCell is memory that the worker waits on while it reads slowly, so that it
// can be woken at once. Browsers have it only where the page is isolated from
// other origins (COOP and COEP headers).
const sharedCell = () => (window.crossOriginIsolated ? new Int32Array(new SharedArrayBuffer(4)) : null);

function setShared(on) {
  Atomics.store(reading.shared, 0, on ? 1 : 0);
  Atomics.notify(reading.shared, 0);
}

function start(user) {
  clearTimeout(impatience);
  if (reading.shared) setShared(false); // a thread that is blocked ends late
  if (reading.worker) reading.worker.terminate(); // its socket closes with it
  Object.assign(reading, { user, worker: new Worker("/reader.js"), shared: sharedCell(), seenSlow: false, received: 0, history: [], retryAt: 0, why: "" });
  if (reading.shared) setShared(reading.slow);
  held = null;
  shown.length = 0;
  showPushes([]);
  showTotals({ received: 0, missed: 0, late: 0, repeated: 0, p50: NaN, p99: NaN });
  showState({ state: "connecting" }); // not what the socket before was
  put($("user-shown"), user);
  $("pick-user").value = user;
  if (!$("send-user").dataset.edited) $("send-user").value = user;
  history.replaceState(null, "", "#user=" + encodeURIComponent(user));
  for (const button of $("quick").children) button.setAttribute("aria-pressed", String(button.dataset.user === user));
  const mine = reading.worker;
  mine.onmessage = ({ data }) => reading.worker === mine && fromWorker(data);
  mine.onerror = () => showState({ state: "refused", text: "The reader failed." });
  mine.postMessage({ type: "start", user, slow: reading.slow, shared: reading.shared, offset: clockOffset });
  showSlow();
}

function fromWorker(message) {
  switch (message.type) {
    case "state":
      showState(message);
      break;
    case "slow":
      clearTimeout(impatience);
      break;
    case "pushes":
      shown.unshift(...message.rows.reverse());
      shown.length = Math.min(shown.length, LIST_ROWS);
      reading.received = message.totals.received;
      showTotals(message.totals);
      if (!held) showPushes(shown);
  }
}

const STATES = {
  connecting: ["connecting", ""],
  open: ["connected", "good"],
  waiting: ["not connected", "warn"],
  refused: ["refused", "bad"],
};

function showState({ state, text = "", retryAt = 0 }) {
  reading.state = state;
  reading.retryAt = retryAt;
  reading.why = text;
  pill($("socket-pill"), ...(STATES[state] || [state, ""]));
  showRetry();
}

// showRetry counts down to the next attempt. It is not announced: the pill is.
function showRetry() {
  const connected = reading.state === "open" || (reading.state === "connecting" && !reading.why);
  $("socket-detail").hidden = connected;
  if (connected) return;
  $("retry").hidden = reading.state === "connecting";
  const seconds = Math.max(0, Math.ceil((reading.retryAt - Date.now()) / 1000));
  put($("socket-text"), reading.state === "waiting" ? reading.why + " Next attempt, with a new token, in " + seconds + " s." : reading.why);
}

$("retry").addEventListener("click", () => reading.worker.postMessage({ type: "retry" }));

function showTotals(totals) {
  put($("s-received"), count(totals.received));
  put($("s-p50"), ownMillis(totals.p50));
  put($("s-p99"), ownMillis(totals.p99));
  for (const name of ["missed", "late", "repeated"]) {
    put($("s-" + name), count(totals[name]));
    $("s-" + name).classList.toggle("bad", totals[name] > 0);
  }
}

// once a second: what this tab received per second, and the countdown.
setInterval(() => {
  const h = reading.history;
  h.push({ at: performance.now(), n: reading.received });
  if (h.length > 6) h.shift();
  const span = h.at(-1).at - h[0].at;
  const perSecond = span ? ((h.at(-1).n - h[0].n) * 1000) / span : NaN;
  put($("s-rate"), perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : count(perSecond));
  showRetry();
  describeChart();
}, 1000);

const shown = []; // newest first
let held = null; // a copy of the list while it is held
let sentData = ""; // what this page sent last, to mark it when it arrives

function showPushes(list) {
  const body = $("pushes");
  $("no-pushes").hidden = list.length > 0;
  rows(body, list.length, () => {
    const row = element("tr");
    const data = element("td", "data");
    data.append(element("span", "mark"), element("span"));
    row.append(element("td"), element("td", "num"), element("td", "num"), data);
    return row;
  });
  list.forEach((push, i) => {
    const row = body.children[i];
    const [time, seq, latency, data] = row.children;
    const own = sentData !== "" && push.data === sentData;
    row.className = (push.mark || "") + (own ? " own" : "");
    put(time, clock(push.time));
    put(seq, String(push.seq));
    put(latency, ownMillis(push.latency));
    put(data.firstChild, push.mark === "gap" ? count(push.count) + " missing before" : push.mark);
    put(data.lastChild, push.data);
    if (data.title !== push.data) data.title = push.data;
  });
}

$("hold").addEventListener("click", () => {
  held = held ? null : shown.slice();
  $("hold").setAttribute("aria-pressed", String(Boolean(held)));
  put($("h-list"), held ? "Held; counting goes on" : "Newest first");
  showPushes(held || shown);
});

$("slow").addEventListener("change", (e) => {
  reading.slow = e.target.checked;
  reading.seenSlow = false;
  if (reading.shared) setShared(reading.slow);
  reading.worker.postMessage({ type: "slow", on: reading.slow });
  clearTimeout(impatience);
  // Without shared memory this order waits behind pushes at half a second each:
  // a new worker with a new socket is there sooner.
  if (!reading.slow && !reading.shared) impatience = setTimeout(() => start(reading.user), 2 * SAMPLE_MS);
  showSlow();
});

// showSlow says how far it has come: buffers on the way take some pushes first.
function showSlow() {
  $("slow-box").classList.toggle("on", reading.slow);
  $("slow-now").hidden = !reading.slow;
  if (!reading.slow || !latest()) return;
  const { slow, queued, heavy_user: heavy } = latest().stats;
  if (slow > 0 || queued >= MANY_QUEUED) reading.seenSlow = true;
  let state = "The buffers of browser and network are filling.";
  if (slow > 0) state = "The server sees a slow socket: look at the queue depth and the latency.";
  else if (queued >= MANY_QUEUED) state = "The buffers are full and pushes queue up: look at the queue depth and the latency.";
  else if (reading.seenSlow) state = "Nothing queues up for this tab any more: the server has probably closed its socket. What this tab takes now was on its way before; read at full speed again to reconnect.";
  else if (heavy && reading.user !== heavy) state += " User " + reading.user + " gets few pushes, so this takes long: user " + heavy + " shows it sooner.";
  put($("slow-state"), state);
  put($("slow-behind"), shown.length ? "The newest push that this tab has taken was " + ownMillis(shown[0].latency) + " old." : "");
}

// --- whose pushes ---

let knownUsers = "";

function showUsers(stats) {
  const key = stats.heavy_user + "/" + stats.users;
  if (key === knownUsers) return;
  knownUsers = key;
  const heavy = stats.heavy_user;
  const users = Array.from({ length: Math.min(stats.users || 0, 200) }, (_, i) => String(i + 1));
  $("user-list").replaceChildren(...users.map((id) => {
    const option = element("option");
    option.value = id;
    if (id === heavy) option.label = "heavy";
    return option;
  }));
  const light = users.filter((id) => id !== heavy);
  const choice = [[heavy, "User " + heavy + ", heavy"], [light[0], "User " + light[0]], [light[Math.floor(light.length / 2)], "User " + light[Math.floor(light.length / 2)]]];
  const seen = new Set();
  $("quick").replaceChildren(...choice.filter(([id]) => id && !seen.has(id) && seen.add(id)).map(([id, text]) => {
    const button = element("button", "small", text);
    button.type = "button";
    button.dataset.user = id;
    button.setAttribute("aria-pressed", String(id === reading.user));
    button.addEventListener("click", () => choose(id));
    return button;
  }));
  if (!reading.worker) start(fromAddress() || light[0] || heavy || "1");
}

function fromAddress() {
  const id = new URLSearchParams(location.hash.slice(1)).get("user") || "";
  return USER_ID.test(id) ? id : "";
}

function choose(id) {
  const fault = USER_ID.test(id) ? "" : "A user id has 1 to 64 letters, digits, “_”, “-” or “.”.";
  $("pick-error").hidden = !fault;
  put($("pick-error"), fault);
  if (!fault && id !== reading.user) start(id);
}

$("pick").addEventListener("submit", (e) => {
  e.preventDefault();
  choose($("pick-user").value.trim());
});
$("pick-user").addEventListener("input", () => ($("pick-error").hidden = true));
window.addEventListener("hashchange", () => fromAddress() && choose(fromAddress()));

// --- sending ---

$("send-user").addEventListener("input", (e) => (e.target.dataset.edited = e.target.value ? "yes" : ""));

$("send").addEventListener("submit", async (e) => {
  e.preventDefault();
  const text = $("send-data").value;
  let data;
  try {
    data = JSON.parse(text);
  } catch (err) {
    answer("Not sent. The data is not JSON: " + err.message, false);
    return;
  }
  // The text goes as it was written: a large number keeps all its digits.
  const one = '{"user_id":' + JSON.stringify($("send-user").value.trim()) + ',"data":' + text + "}";
  const copies = Number($("send-copies").value);
  const body = copies === 1 ? one : "[" + new Array(copies).fill(one).join(",") + "]";
  $("send-button").disabled = true;
  try {
    const reply = await fetch("/push", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal: AbortSignal.timeout(30_000) });
    const result = await reply.json().catch(() => ({}));
    if (reply.status === 202) {
      sentData = JSON.stringify(data);
      answer("202 Accepted: " + count(result.accepted) + (result.accepted === 1 ? " push" : " pushes") + " to user " + $("send-user").value.trim() + ".", true);
    } else {
      answer(reply.status + ": " + (result.error || reply.statusText || "refused"), false);
    }
  } catch (err) {
    answer(err.name === "TimeoutError" ? "No answer within 30 s." : "Not sent: the program does not answer.", false);
  }
  $("send-button").disabled = false;
});

function answer(text, good) {
  $("answer").className = good ? "good" : "bad";
  put($("answer"), text);
}

// --- start ---

function redraw() {
  readInk();
  drawChart();
  if (latest()) showQueues(latest().stats);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new ResizeObserver(redraw).observe($("chart"));
redraw();
sample();
