// What the phoenix client does by itself, as the server sees it: the cases P128
// to P145 of docs/conformance-channels.md, by their numbers.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import WebSocket from "ws";
import { LongPoll, Presence, Socket } from "phoenix";
import { closing, errored, once, outcome, serve, until } from "./kit.mjs";

let server;
before(async () => { server = await serve(); });
after(() => server.stop());

// recorded connects over a WebSocket that notes what goes out.
async function recorded(opts = {}, connectOpts) {
  const sent = [];
  class Recorder extends WebSocket {
    send(data, ...rest) {
      if (typeof data === "string") sent.push(JSON.parse(data));
      return super.send(data, ...rest);
    }
  }
  const socket = await server.connect("1", { transport: Recorder, ...opts }, connectOpts);
  return { socket, sent, events: (topic) => sent.filter((m) => m[2] === topic).map((m) => m[3]) };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("P128 a join is phx_join with the params, its ref is the join ref", async () => {
  const { socket, sent } = await recorded();
  await outcome(socket.channel("room:a", { hello: 1 }).join());
  const [joinRef, ref, topic, event, params] = sent[0];
  assert.deepEqual([topic, event, params], ["room:a", "phx_join", { hello: 1 }]);
  assert.equal(joinRef, ref);
  await closing(socket);
});

test("P129 the params are asked for anew at each join", async () => {
  const { socket, sent } = await recorded({ rejoinAfterMs: () => 20 });
  let n = 0;
  const channel = socket.channel("room:a", () => ({ n: ++n }));
  await outcome(channel.join());
  channel.push("crash", {});
  await errored(channel);
  await until(() => channel.state === "joined");
  assert.deepEqual(sent.filter((m) => m[3] === "phx_join").map((m) => m[4]), [{ n: 1 }, { n: 2 }]);
  await closing(socket);
});

test("P130 a second channel on the same topic: the first leaves, then it joins", async () => {
  const { socket, events } = await recorded();
  const first = socket.channel("room:twice");
  await outcome(first.join());
  const second = socket.channel("room:twice");
  assert.equal((await outcome(second.join())).status, "ok");
  assert.equal((await outcome(second.push("echo", {}))).status, "ok");
  assert.deepEqual([second.state, first.state], ["joined", "closed"]);
  assert.deepEqual(events("room:twice"), ["phx_join", "phx_leave", "phx_join", "echo"]);
  await closing(socket);
});

test("P132 pushes before the join are sent after it, in order", async () => {
  const { socket, events, sent } = await recorded();
  const channel = socket.channel("room:a");
  const joined = outcome(channel.join());
  const answers = [1, 2, 3].map((n) => outcome(channel.push("echo", { n })));
  assert.equal((await joined).status, "ok");
  assert.deepEqual((await Promise.all(answers)).map((a) => a.response.n), [1, 2, 3]);
  assert.deepEqual(events("room:a"), ["phx_join", "echo", "echo", "echo"]);
  assert.deepEqual(sent.slice(1).map((m) => m[4].n), [1, 2, 3]);
  await closing(socket);
});

test("P133 a channel that crashed is joined again, unless the client leaves", async () => {
  const { socket, events } = await recorded({ rejoinAfterMs: () => 50 });
  const [back, gone] = [socket.channel("room:back"), socket.channel("room:gone")];
  for (const c of [back, gone]) await outcome(c.join());
  for (const c of [back, gone]) {
    const crashed = errored(c);
    c.push("crash", {});
    await crashed;
  }
  gone.leave();
  await until(() => back.state === "joined");
  await pause(100);
  assert.equal((await outcome(back.push("echo", {}))).status, "ok");
  assert.deepEqual(events("room:gone").filter((e) => e === "phx_join").length, 1);
  await closing(socket);
});

test("P134 a channel that the server stopped stays closed", async () => {
  const { socket, events } = await recorded({ rejoinAfterMs: () => 20 });
  const channel = socket.channel("room:stop");
  await outcome(channel.join());
  const closed = new Promise((resolve) => channel.onClose(resolve));
  assert.deepEqual(await outcome(channel.push("stop_reply", {})), { status: "ok", response: { bye: 1 } });
  await closed;
  await pause(100);
  assert.equal(channel.state, "closed");
  assert.deepEqual(events("room:stop"), ["phx_join", "stop_reply"]);
  await closing(socket);
});

test("P135 leaving closes the channel", async () => {
  const { socket, events } = await recorded();
  const channel = socket.channel("room:a");
  await outcome(channel.join());
  const closed = new Promise((resolve) => channel.onClose(resolve));
  assert.equal((await outcome(channel.leave())).status, "ok");
  await closed;
  assert.deepEqual(events("room:a"), ["phx_join", "phx_leave"]);
  await closing(socket);
});

test("P136 each reply reaches its own push", async () => {
  const { socket } = await recorded();
  const [a, b] = [socket.channel("room:a"), socket.channel("room:b")];
  await outcome(a.join());
  await outcome(b.join());
  const all = await Promise.all(Array.from({ length: 50 }, (_, n) => outcome((n % 2 ? a : b).push("echo", { n }))));
  assert.deepEqual(all.map((o) => o.response.n), Array.from({ length: 50 }, (_, n) => n));
  await closing(socket);
});

test("P137 what the server says to an earlier join is dropped", async () => {
  const { socket } = await recorded();
  const first = socket.channel("room:old");
  await outcome(first.join());
  const second = socket.channel("room:old");
  // The phx_close of the first one carries its join ref.
  const closes = [];
  second.onClose(() => closes.push(1));
  await outcome(second.join());
  await outcome(second.push("echo", {}));
  assert.deepEqual([closes, second.state], [[], "joined"]);
  await closing(socket);
});

test("P138 heartbeats are answered; without an answer the client connects again", async () => {
  const { socket, sent } = await recorded({ heartbeatIntervalMs: 60 });
  const seen = [];
  await new Promise((resolve) => socket.onMessage((m) => {
    if (m.topic === "phoenix") seen.push(m.payload.status);
    if (seen.length === 3) resolve();
  }));
  assert.deepEqual(seen, ["ok", "ok", "ok"]);
  const again = new Promise((resolve) => socket.onOpen(resolve));
  socket.conn.onmessage = () => {}; // answers are lost from now on
  await again;
  await closing(socket);
  const beats = sent.length;
  await pause(150);
  assert.equal(sent.length, beats, "none after the end");
});

test("P139 what is pushed while there is no connection is sent when there is", async () => {
  const socket = new Socket(`ws://${server.base}/socket`, { transport: WebSocket, authToken: await server.token("1") });
  const channel = socket.channel("room:a");
  const joined = outcome(channel.join());
  const answer = outcome(channel.push("echo", { early: 1 }));
  socket.connect();
  assert.equal((await joined).status, "ok");
  assert.deepEqual(await answer, { status: "ok", response: { early: 1 } });
  await closing(socket);
});

test("P141 after disconnect the client neither comes back nor beats", async () => {
  const { socket, sent } = await recorded({ heartbeatIntervalMs: 50, reconnectAfterMs: () => 20 });
  await outcome(socket.channel("room:a").join());
  await closing(socket);
  const n = sent.length;
  await pause(200);
  assert.deepEqual([sent.length, socket.isConnected()], [n, false]);
});

test("P142 long polling: many messages at once arrive in order, in posts of at most 100", async () => {
  const posts = [];
  const real = globalThis.fetch;
  let inFlight = 0, most = 0;
  globalThis.fetch = async (url, opts = {}) => {
    if (opts.method !== "POST") return real(url, opts);
    most = Math.max(most, ++inFlight);
    posts.push({ lines: String(opts.body).split("\n").length, headers: opts.headers });
    try { return await real(url, opts); } finally { inFlight--; }
  };
  try {
    const socket = await server.connect("p", { transport: LongPoll }, "/short");
    const channel = socket.channel("room:many");
    await outcome(channel.join());
    const got = [];
    for (let n = 0; n < 250; n++) channel.push("echo", { n }).receive("ok", (r) => got.push(r.n));
    await until(() => got.length === 250);
    assert.deepEqual(got, Array.from({ length: 250 }, (_, n) => n));
    assert.equal(most, 1, "one post at a time");
    assert.ok(posts.every((p) => p.lines <= 100) && posts.length <= 6, JSON.stringify(posts.map((p) => p.lines)));
    const gone = errored(channel); // 410: the client begins a new session
    await server.post("/disconnect?user=p");
    await gone;
    await until(() => channel.state === "joined");
    await closing(socket);
  } finally {
    globalThis.fetch = real;
  }
});

test("P144 the auth token is asked for at each connection; a token in the params works as well", async () => {
  let asked = 0;
  const tokens = [await server.token("1"), await server.token("2")];
  const socket = new Socket(`ws://${server.base}/socket`, { transport: WebSocket, authToken: () => tokens[asked++] });
  socket.connect();
  await outcome(socket.channel("user:1").join());
  const back = new Promise((resolve) => socket.onOpen(resolve));
  await server.post("/disconnect?user=1");
  await back;
  assert.equal((await outcome(socket.channel("user:2").join())).status, "ok", "connected as the other user now");
  await closing(socket);
  const old = new Socket(`ws://${server.base}/socket`, { transport: WebSocket, params: { token: tokens[0] } });
  const opened = new Promise((resolve) => old.onOpen(resolve));
  old.connect();
  await opened;
  await closing(old);
});

test("P145 presence: diffs before the state are kept; only what is new is reported; odd keys are safe", async () => {
  const socket = await server.connect("__proto__");
  const channel = socket.channel("presence:odd", { dev: "a" });
  const presence = new Presence(channel);
  const joins = [], leaves = [];
  presence.onJoin((key, before, now) => joins.push([key, before?.metas.length ?? 0, now.metas.map((m) => m.dev)]));
  presence.onLeave((key, now, left) => leaves.push([key, now.metas.length, left.metas.map((m) => m.dev)]));
  await outcome(channel.join()); // its own diff comes before its presence_state
  await until(() => joins.length === 2); // the state, then the diff that was kept
  const other = await server.connect("__proto__");
  await outcome(other.channel("presence:odd", { dev: "b" }).join());
  await until(() => joins.length === 3);
  await outcome(channel.push("update", { dev: "c" }));
  await until(() => joins.length === 4);
  await closing(other);
  await until(() => leaves.length === 2);
  assert.deepEqual(joins, [["__proto__", 0, ["a"]], ["__proto__", 1, ["a"]], ["__proto__", 1, ["b"]], ["__proto__", 2, ["c"]]]);
  assert.deepEqual(leaves, [["__proto__", 2, ["a"]], ["__proto__", 1, ["b"]]]);
  assert.equal(presence.list((key, { metas }) => metas.length)[0], 1);
  await closing(socket);
});
