// The unmodified phoenix client against bench/channelserver, which is built and
// started here. Run: npm install && npm test
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { LongPoll, Presence, Socket } from "phoenix";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../..");
let server, dir, base;

before(async () => {
  dir = mkdtempSync(path.join(tmpdir(), "channelserver-"));
  const bin = path.join(dir, "channelserver");
  execFileSync("go", ["build", "-o", bin, "./bench/channelserver"], { cwd: root, stdio: "inherit" });
  server = spawn(bin, ["-listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  base = await new Promise((resolve, reject) => {
    server.on("exit", (code) => reject(new Error(`server ended with ${code}`)));
    server.stdout.on("data", (d) => resolve(String(d).match(/listening on (\S+)/)[1]));
  });
});

after(async () => {
  const gone = new Promise((resolve) => server.on("exit", resolve));
  server.kill("SIGTERM");
  await gone;
  rmSync(dir, { recursive: true });
});

const http = (method, p) => fetch(`http://${base}${p}`, { method });
const token = async (id) => (await http("GET", `/token?user=${id}`)).text();

async function connect(id, opts = {}) {
  const socket = new Socket(`ws://${base}/socket`, { transport: WebSocket, authToken: await token(id), ...opts });
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await opened;
  return socket;
}

const outcome = (push) =>
  new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
  });
const once = (channel, event) =>
  new Promise((resolve) => {
    const ref = channel.on(event, (payload) => { channel.off(event, ref); resolve(payload); });
  });
const until = (condition) =>
  new Promise((resolve) => {
    const timer = setInterval(() => { if (condition()) { clearInterval(timer); resolve(); } }, 20);
  });
const closing = (socket) => new Promise((resolve) => socket.disconnect(resolve));

test("joins, echoes and leaves", async () => {
  const socket = await connect("1");
  const channel = socket.channel("room:a", { hello: 1 });
  assert.deepEqual(await outcome(channel.join()), { status: "ok", response: {} });
  assert.deepEqual(await outcome(channel.push("echo", { x: [1, "ü", null] })), { status: "ok", response: { x: [1, "ü", null] } });
  const closed = new Promise((resolve) => channel.onClose(resolve));
  assert.equal((await outcome(channel.leave())).status, "ok");
  await closed;
  await closing(socket);
});

test("a token in the params works as well", async () => {
  const socket = new Socket(`ws://${base}/socket`, { transport: WebSocket, params: { token: await token("1") } });
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await opened;
  await closing(socket);
});

test("refusals carry their reason", async () => {
  const socket = await connect("1");
  assert.deepEqual(await outcome(socket.channel("user:2").join()), { status: "error", response: { reason: "unauthorized" } });
  assert.deepEqual(await outcome(socket.channel("nope:1").join()), { status: "error", response: { reason: "unmatched topic" } });
  assert.deepEqual(await outcome(socket.channel("room:crash").join()), { status: "error", response: { reason: "join crashed" } });
  await closing(socket);
});

test("broadcasts reach everybody, and are intercepted for each", async () => {
  const [a, b] = [await connect("a"), await connect("b")];
  const [ca, cb] = [a.channel("room:talk"), b.channel("room:talk")];
  await outcome(ca.join());
  await outcome(cb.join());
  let got = [once(ca, "new_msg"), once(cb, "new_msg")];
  ca.push("new_msg", { text: "hi" });
  assert.deepEqual(await Promise.all(got), [{ text: "hi" }, { text: "hi" }]);
  got = [once(ca, "intercepted"), once(cb, "intercepted")];
  cb.push("intercepted", { n: 1 });
  assert.deepEqual(await Promise.all(got), [{ n: 1, user: "a" }, { n: 1, user: "b" }]);
  await closing(a);
  await closing(b);
});

test("binary there and back", async () => {
  const socket = await connect("1");
  const channel = socket.channel("room:bin");
  await outcome(channel.join());
  const reply = await outcome(channel.push("bin", new Uint8Array([1, 2]).buffer));
  assert.equal(reply.status, "ok");
  assert.deepEqual([...new Uint8Array(reply.response)], [1, 2, 3, 4]);
  await closing(socket);
});

test("a crashed channel is joined again, another one goes on", async () => {
  const socket = await connect("1");
  const [bad, good] = [socket.channel("room:bad"), socket.channel("room:good")];
  await outcome(bad.join());
  await outcome(good.join());
  const errored = new Promise((resolve) => bad.onError(resolve));
  bad.push("crash", {});
  await errored;
  assert.equal((await outcome(good.push("echo", { still: "here" }))).status, "ok");
  await until(() => bad.state === "joined");
  assert.equal((await outcome(bad.push("echo", {}))).status, "ok");
  await closing(socket);
});

test("a stopped channel stays closed", async () => {
  const socket = await connect("1");
  const channel = socket.channel("room:stop");
  await outcome(channel.join());
  const closed = new Promise((resolve) => channel.onClose(resolve));
  assert.deepEqual(await outcome(channel.push("stop_reply", {})), { status: "ok", response: { bye: 1 } });
  await closed;
  assert.equal(channel.state, "closed");
  await closing(socket);
});

test("a second channel on the same topic replaces the first", async () => {
  const socket = await connect("1");
  const first = socket.channel("room:twice");
  await outcome(first.join());
  const second = socket.channel("room:twice");
  assert.equal((await outcome(second.join())).status, "ok");
  assert.equal((await outcome(second.push("echo", {}))).status, "ok");
  assert.equal(second.state, "joined");
  await closing(socket);
});

test("heartbeats are answered", async () => {
  const socket = await connect("1", { heartbeatIntervalMs: 100 });
  const seen = [];
  await new Promise((resolve) => socket.onMessage((m) => {
    if (m.topic === "phoenix") seen.push(m.payload.status);
    if (seen.length === 3) resolve();
  }));
  assert.deepEqual(seen, ["ok", "ok", "ok"]);
  assert.ok(socket.isConnected());
  await closing(socket);
});

test("long polling: join, echo, broadcast, binary in, leave", async () => {
  const socket = new Socket(`ws://${base}/short`, { transport: LongPoll, authToken: await token("poll") });
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await opened;
  const channel = socket.channel("room:poll");
  assert.equal((await outcome(channel.join())).status, "ok");
  assert.deepEqual(await outcome(channel.push("echo", { a: "ü" })), { status: "ok", response: { a: "ü" } });
  const got = [once(channel, "new_msg"), once(channel, "intercepted")];
  channel.push("new_msg", { n: 1 });
  channel.push("intercepted", { n: 2 });
  assert.deepEqual(await Promise.all(got), [{ n: 1 }, { n: 2, user: "poll" }]);
  const msg = once(channel, "msg");
  await http("POST", "/broadcast?topic=room:poll&bytes=3");
  assert.equal((await msg).pad, "xxx");
  assert.equal((await outcome(channel.leave())).status, "ok");
  await closing(socket);
});

test("presence: state, joins, leaves, several metas", async () => {
  const [a, b] = [await connect("ann"), await connect("bob")];
  const room = a.channel("presence:x", { dev: "phone" });
  const presence = new Presence(room);
  const events = [];
  presence.onJoin((key, before, now) => events.push(`+${key}${now.metas.length}`));
  presence.onLeave((key, now, left) => events.push(`-${key}${left.metas.length}`));
  await outcome(room.join());
  const other = b.channel("presence:x", { dev: "tv" });
  await outcome(other.join());
  const keys = () => presence.list((key, { metas }) => `${key}:${metas.map((m) => m.dev)}`).sort().join(" ");
  await until(() => keys() === "ann:phone bob:tv");
  await outcome(other.push("update", { dev: "radio" }));
  await until(() => keys() === "ann:phone bob:radio");
  const c = await connect("ann");
  await outcome(c.channel("presence:x", { dev: "laptop" }).join());
  await until(() => keys() === "ann:phone,laptop bob:radio");
  await closing(b);
  await until(() => keys() === "ann:phone,laptop");
  await closing(c);
  await until(() => keys() === "ann:phone");
  assert.ok(events.includes("+ann1") && events.includes("+bob1") && events.includes("-bob1"), String(events));
  await closing(a);
});

test("after a forced disconnect the client comes back and joins again", async () => {
  const socket = await connect("kicked");
  const channel = socket.channel("user:kicked");
  await outcome(channel.join());
  let code;
  socket.onClose((event) => { code ??= event.code; });
  const down = new Promise((resolve) => channel.onError(resolve));
  await http("POST", "/disconnect?user=kicked");
  await down;
  await until(() => channel.state === "joined");
  assert.equal(code, 1001);
  const msg = once(channel, "msg");
  await http("POST", "/broadcast?topic=user:kicked&event=msg&bytes=3");
  assert.equal((await msg).pad, "xxx");
  await closing(socket);
});
