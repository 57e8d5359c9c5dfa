"use strict";

// The socket of one user, in a worker of its own. It has a thread to itself
// because reading slowly must be real: while this thread is blocked it takes no
// message, so the browser's buffers fill, then the TCP window closes, and the
// server has a slow client. On the page's own thread that would freeze the page.
//
// The page sends   {type: "start", user, slow, shared, offset} once, then
//                  {type: "slow", on}, {type: "clock", offset}, {type: "retry"}.
// The worker sends {type: "state", state, text, retryAt}, {type: "slow", on}
//                  and {type: "pushes", rows, totals} at most ten times a second.

const NAP_MS = 500; // what one push costs while reading slowly
const REPORT_MS = 100;
const HEARTBEAT_MS = 30_000;
const JOIN_MS = 10_000;
const RENEW_SHARE = 0.8; // of a token's life
const RENEW_AGAIN_MS = 1_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;
const STEADY_MS = 5_000; // a channel that stood this long starts the back-off anew
const MAX_ROWS = 50; // in one report; the page shows no more
const MAX_DATA = 300; // characters of a push's data that are shown
const WINDOW = 1000; // latencies that the quantiles are taken from
const MAX_ORIGINS = 64;
const RECENT = 512; // sequence numbers kept to tell late pushes from repeated ones, and as many that are missing

let user = "";
let slow = false; // unless there is shared memory
let shared = null; // Int32Array of one cell that the page sets to 1 for reading slowly
let clockOffset = 0; // server's clock minus ours, in ms

let socket = null;
let connection = 0; // counts attempts; what belongs to an earlier one is ignored
let attempt = 0; // failures in a row
let retryTimer = 0;
let joinTimer = 0;
let joinedAt = 0;
let ref = 0;
let joinRef = "";
let heartbeatRef = null;
let heartbeatAt = 0;
let renewAt = 0;

// --- state and back-off ---

function tell(state, text = "", retryAt = 0) {
  postMessage({ type: "state", state, text, retryAt });
}

function later(why) {
  const lasted = joinedAt ? performance.now() - joinedAt : 0;
  connection++;
  joinedAt = 0;
  clearTimeout(joinTimer);
  if (socket) {
    const old = socket;
    socket = null;
    old.close();
  }
  report();
  if (lasted > STEADY_MS) attempt = 0;
  const full = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt++);
  const delay = full / 2 + (Math.random() * full) / 2; // so that tabs do not return all at once
  tell("waiting", why, Date.now() + delay);
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, delay);
}

// connect fetches a new token each time: one that has expired would be refused.
async function connect() {
  clearTimeout(retryTimer);
  const mine = ++connection;
  tell("connecting");
  let answer;
  try {
    answer = await fetchToken();
  } catch (err) {
    if (mine !== connection) return;
    if (err.lasting) tell("refused", err.message);
    else later(err.message.startsWith("No token") ? err.message : "The server does not answer.");
    return;
  }
  if (mine !== connection) return;
  renewAt = performance.now() + answer.expires_in * 1000 * RENEW_SHARE;
  const scheme = self.location.protocol === "https:" ? "wss://" : "ws://";
  // The token is no part of the URL, which proxies log: phoenix.js does the same with authToken.
  const bearer = "base64url.bearer.phx." + btoa(answer.token).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  socket = new WebSocket(scheme + self.location.host + "/socket/websocket?vsn=2.0.0", ["phoenix", bearer]);
  socket.onopen = () => mine === connection && join();
  socket.onmessage = (m) => mine === connection && received(m.data);
  socket.onclose = (e) => mine === connection && later(closedText(e));
}

async function fetchToken() {
  const answer = await fetch("/api/token?user=" + encodeURIComponent(user), { cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const err = new Error("No token: " + (body.error || "the server answered " + answer.status) + ".");
  err.lasting = answer.status >= 400 && answer.status < 500 && answer.status !== 408 && answer.status !== 429;
  throw err;
}

// renew brings a new token before the old one ends, with which the server would
// close the socket. A failure is tried again, until that happens.
async function renew() {
  if (!joinedAt || performance.now() < renewAt) return;
  const mine = connection;
  renewAt = performance.now() + RENEW_AGAIN_MS;
  try {
    const answer = await fetchToken();
    if (mine !== connection || !joinedAt) return;
    renewAt = performance.now() + answer.expires_in * 1000 * RENEW_SHARE;
    send(null, String(++ref), "phoenix", "renew", { token: answer.token });
  } catch {
    // Later.
  }
}
setInterval(renew, 250);

function closedText(e) {
  if (e.code === 1006 && !joinedAt) return "The socket was refused.";
  if (e.code === 1006) return "The connection was lost.";
  return "The server closed the socket (" + e.code + (e.reason ? ", " + e.reason : "") + ").";
}

// --- Phoenix Channels, V2 frames ---

function send(join, id, topic, event, payload) {
  socket.send(JSON.stringify([join, id, topic, event, payload]));
}

function join() {
  joinRef = String(++ref);
  heartbeatRef = null;
  heartbeatAt = performance.now();
  send(joinRef, joinRef, "user:" + user, "phx_join", {});
  joinTimer = setTimeout(() => later("The channel was not joined in time."), JOIN_MS);
}

function received(text) {
  let join, id, topic, event, payload;
  try {
    [join, id, topic, event, payload] = JSON.parse(text);
  } catch {
    later("The server sent something that is not a frame.");
    return;
  }
  if (topic === "phoenix") {
    if (id === heartbeatRef) heartbeatRef = null;
    return;
  }
  if (topic !== "user:" + user || (join !== null && join !== joinRef)) return;
  switch (event) {
    case "phx_reply":
      if (id === joinRef) joined(payload);
      break;
    case "phx_error":
    case "phx_close":
      later("The server closed the channel.");
      break;
    case "push_timed":
      take(payload);
      if (isSlow()) {
        report();
        nap(NAP_MS);
        heartbeat(); // timers may not get their turn between naps
      }
  }
}

function joined(reply) {
  clearTimeout(joinTimer);
  if (reply.status !== "ok") {
    later("The channel was refused: " + ((reply.response && reply.response.reason) || reply.status) + ".");
    return;
  }
  joinedAt = performance.now();
  tell("open");
}

// heartbeat keeps the server from taking this client for gone, and notices a
// server that is gone. While reading slowly the answer waits behind unread
// pushes, so its absence means nothing then.
function heartbeat() {
  if (!joinedAt || performance.now() - heartbeatAt < HEARTBEAT_MS) return;
  if (heartbeatRef !== null && !isSlow()) {
    later("The server did not answer the heartbeat.");
    return;
  }
  heartbeatAt = performance.now();
  heartbeatRef = String(++ref);
  send(null, heartbeatRef, "phoenix", "heartbeat", {});
}
setInterval(heartbeat, 1000);

// --- reading slowly ---

// isSlow asks the memory shared with the page, where there is one: an order sent
// as a message would wait behind every push that this thread has not taken yet.
const isSlow = () => (shared ? Atomics.load(shared, 0) === 1 : slow);

// nap blocks this thread without spending processor time. With shared memory
// the page can wake it; without, it waits for a request that the server answers
// only after that time.
function nap(ms) {
  if (shared) {
    Atomics.wait(shared, 0, 1, ms);
    return;
  }
  const request = new XMLHttpRequest();
  request.open("GET", "/api/nap?ms=" + ms, false);
  try {
    request.send();
  } catch {
    // The server is gone; the socket will say so.
  }
}

// --- what arrives ---

const origins = new Map(); // name → {last, recent, ring, next, missing}
const totals = { received: 0, missed: 0, late: 0, repeated: 0, p50: NaN, p99: NaN };
const latencies = new Float64Array(WINDOW);
let rows = [];
let unreported = false;

function take(payload) {
  const now = performance.timeOrigin + performance.now() + clockOffset;
  const latency = Math.max(0, now - payload.at); // two clocks can disagree
  latencies[totals.received % WINDOW] = latency;
  totals.received++;
  const [mark, count] = check(String(payload.origin ?? ""), payload.seq);
  if (mark === "gap") totals.missed += count;
  if (mark === "late") {
    totals.late++;
    totals.missed -= count; // it came after all
  }
  if (mark === "repeated") totals.repeated++;
  let data = JSON.stringify(payload.data) ?? "";
  if (data.length > MAX_DATA) data = data.slice(0, MAX_DATA) + "…";
  rows.push({ n: totals.received, time: Date.now(), seq: payload.seq, origin: payload.origin, latency, mark, count, data });
  if (rows.length > 2 * MAX_ROWS) rows = rows.slice(-MAX_ROWS);
  unreported = true;
}

// check compares a sequence number with those of the same origin before it and
// answers the mark and how many pushes it concerns: those missing in a gap, or
// 1 for a late one that was counted as missing. The first number of an origin is
// a beginning, whatever it is.
function check(origin, seq) {
  let o = origins.get(origin);
  if (!o) {
    if (origins.size >= MAX_ORIGINS) origins.delete(origins.keys().next().value);
    o = { last: seq - 1, recent: new Set(), ring: new Array(RECENT), next: 0, missing: new Set() };
    origins.set(origin, o);
  }
  if (o.recent.has(seq)) return ["repeated", 1];
  o.recent.delete(o.ring[o.next]);
  o.ring[o.next] = seq;
  o.next = (o.next + 1) % RECENT;
  o.recent.add(seq);
  if (seq < o.last) return ["late", o.missing.delete(seq) ? 1 : 0];
  const gap = seq - o.last - 1;
  for (let n = Math.max(o.last + 1, seq - RECENT); n < seq; n++) o.missing.add(n);
  for (const n of o.missing) {
    if (o.missing.size <= RECENT) break;
    o.missing.delete(n); // the oldest
  }
  o.last = seq;
  return gap > 0 ? ["gap", gap] : ["", 0];
}

function report() {
  if (!unreported) return;
  unreported = false;
  const sorted = latencies.slice(0, Math.min(totals.received, WINDOW)).sort();
  totals.p50 = sorted[Math.floor(0.5 * (sorted.length - 1))];
  totals.p99 = sorted[Math.ceil(0.99 * (sorted.length - 1))];
  postMessage({ type: "pushes", rows: rows.slice(-MAX_ROWS), totals: { ...totals } });
  rows = [];
}
setInterval(report, REPORT_MS);

// --- the page ---

self.onmessage = ({ data: order }) => {
  switch (order.type) {
    case "start":
      user = order.user;
      slow = order.slow;
      shared = order.shared;
      clockOffset = order.offset;
      connect();
      break;
    case "slow":
      slow = order.on;
      heartbeatRef = null;
      postMessage({ type: "slow", on: slow });
      break;
    case "clock":
      clockOffset = order.offset;
      break;
    case "retry":
      if (!socket) connect();
  }
};
