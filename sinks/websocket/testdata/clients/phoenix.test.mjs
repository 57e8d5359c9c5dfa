// Three versions of the phoenix client, as npm has them, over WebSocket and long
// polling, directly and behind nginx.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import WebSocket from "ws";
import "./browserlike.mjs";
import * as phoenix16 from "phoenix16";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import { closing, once, outcome, pause, serve, until } from "./kit.mjs";

const versions = { "1.6.16": phoenix16, "1.7.21": phoenix17, "1.8.16": phoenix18 };

let server;
before(async () => { server = await serve("-ping", "4s"); });
after(async () => { assert.deepEqual(await server.stop(), [0, 0], "nginx and server end in order"); });

// everyWay runs f for each version, transport, route, and way to authenticate.
function everyWay(what, f) {
  for (const [version, phoenix] of Object.entries(versions)) {
    for (const kind of ["WebSocket", "LongPoll"]) {
      for (const route of ["direct", "nginx with TLS"]) {
        for (const auth of version.startsWith("1.8") ? ["params", "authToken"] : ["params"]) {
          test(`${what}: phoenix ${version}, ${kind}, ${route}, ${auth}`, { timeout: 60_000 }, () => f({ phoenix, kind, route, auth }));
        }
      }
    }
  }
}

// connect opens a socket. Its count of connections that opened shows whether it
// had to come back.
async function connect({ phoenix, kind, route, auth }, id, options = {}) {
  const token = await server.token(id);
  const url = server.routes[route].replace(/^http/, "ws") + (kind === "LongPoll" ? "/short" : "/socket");
  const socket = new phoenix.Socket(url, {
    transport: kind === "LongPoll" ? phoenix.LongPoll : WebSocket,
    ...(auth === "params" ? { params: { token } } : { authToken: token }),
    ...options,
  });
  socket.opened = 0;
  socket.onOpen(() => socket.opened++);
  socket.connect();
  await until(() => socket.opened > 0);
  return socket;
}

everyWay("joins, echoes, hears others, leaves", async (way) => {
  const [a, b] = [await connect(way, "ann"), await connect(way, "bob")];
  const [ca, cb] = [a.channel("room:talk", { hello: 1 }), b.channel("room:talk")];
  assert.deepEqual(await outcome(ca.join()), { status: "ok", response: {} });
  await outcome(cb.join());
  const replies = await Promise.all(Array.from({ length: 100 }, (_, n) => outcome(ca.push("echo", { n, text: "ü 日本 😀" }))));
  assert.deepEqual(replies.map((r) => r.response), Array.from({ length: 100 }, (_, n) => ({ n, text: "ü 日本 😀" })));
  const heard = [once(ca, "new_msg"), once(cb, "new_msg")];
  ca.push("new_msg", { text: "hi" });
  assert.deepEqual(await Promise.all(heard), [{ text: "hi" }, { text: "hi" }]);
  assert.equal((await outcome(ca.push("fail", { n: 1 }))).status, "error");
  const gone = new Promise((resolve) => ca.onClose(resolve));
  assert.equal((await outcome(ca.leave())).status, "ok");
  await gone;
  assert.deepEqual([a.opened, b.opened], [1, 1], "connections opened");
  await closing(a);
  await closing(b);
});

everyWay("presence", async (way) => {
  const [a, b] = [await connect(way, "ann"), await connect(way, "bob")];
  const topic = `presence:${Math.random()}`;
  const room = a.channel(topic, { dev: "phone" });
  const presence = new way.phoenix.Presence(room);
  const keys = () => presence.list((key, { metas }) => `${key}:${metas.map((m) => m.dev)}`).sort().join(" ");
  await outcome(room.join());
  // A phx_ref of the client's own changes nothing.
  const other = b.channel(topic, { dev: "tv", phx_ref: "mine" });
  await outcome(other.join());
  await until(() => keys() === "ann:phone bob:tv");
  await closing(b);
  await until(() => keys() === "ann:phone");
  await closing(a);
});

everyWay("a crash, a forced disconnect, a leave and join in one breath", async (way) => {
  const socket = await connect(way, "kicked", { rejoinAfterMs: () => 20, reconnectAfterMs: () => 20 });
  const channel = socket.channel("user:kicked");
  await outcome(channel.join());
  channel.push("crash", {});
  await until(() => channel.state === "errored");
  await until(() => channel.state === "joined");
  await server.post("/disconnect?user=kicked");
  // The long polling of 1.6 and 1.7 opens once more, without a channel, before it
  // notices that its session is gone.
  await until(async () => socket.opened >= 2 && (await outcome(channel.push("echo", {}, 500))).status === "ok");
  // Long polling of 1.6 posts each message by itself, and they overtake each other.
  const hurries = way.phoenix === phoenix16 && way.kind === "LongPoll" ? 1 : 20;
  let last;
  for (let i = 0; i < hurries; i++) {
    last = socket.channel("room:hurry");
    const joined = outcome(last.join());
    if (i < hurries - 1) last.leave();
    else assert.equal((await joined).status, "ok");
  }
  let heard = 0;
  last.on("news", () => heard++);
  await server.post("/broadcast?topic=room:hurry&event=news&bytes=3");
  await until(() => heard > 0);
  assert.equal((await outcome(last.push("echo", {}))).status, "ok");
  assert.equal(heard, 1, "the news came once");
  await closing(socket);
});

everyWay("a text cut in the middle of an emoji harms its push only", async (way) => {
  const socket = await connect(way, "ann");
  const [channel, other] = [socket.channel("room:emoji"), socket.channel("room:other")];
  await outcome(channel.join());
  await outcome(other.join());
  const cut = "hi 😀".slice(0, 4);
  assert.equal((await outcome(channel.push("echo", { text: cut }))).status, "error");
  assert.equal((await outcome(other.push("echo", {}))).status, "ok");
  assert.equal((await outcome(socket.channel("room:named", { name: cut }).join())).status, "error");
  assert.equal(socket.opened, 1, "connections opened");
  await closing(socket);
});

// Nobody sends anything for longer than nginx waits: the server's pings, or the
// ends of the polls, keep the way open. The ways run side by side.
test("idle for 13 s behind a proxy that waits for 10 s", async () => {
  const ways = Object.entries(versions).flatMap(([version, phoenix]) =>
    ["WebSocket", "LongPoll"].map((kind) => ({ version, phoenix, kind, route: "nginx with TLS", auth: "params" })));
  await Promise.all(ways.map(async (way) => {
    const socket = await connect(way, "idle", { heartbeatIntervalMs: 60_000 });
    const channel = socket.channel("room:idle");
    await outcome(channel.join());
    let errors = 0;
    socket.onError(() => errors++);
    await pause(13_000);
    assert.deepEqual([errors, socket.opened], [0, 1], `${way.version} ${way.kind}: errors, connections opened`);
    assert.equal((await outcome(channel.push("echo", {}))).status, "ok");
    await closing(socket);
  }));
});

test("nothing is left when all clients have gone", async () => {
  await until(async () => (await server.stats()).connections === 0);
});
