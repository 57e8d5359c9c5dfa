// What the server must do for the client's own behaviour. Run: npm test
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import WebSocket from "ws";
import { Socket } from "phoenix";
import { closing, outcome, serve } from "./kit.mjs";

let server;
before(async () => { server = await serve(); });
after(() => server.stop());

test("a token in the params works as well", async () => {
  const socket = new Socket(`ws://${server.base}/socket`, { transport: WebSocket, params: { token: await server.token("1") } });
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await opened;
  await closing(socket);
});

test("a stopped channel stays closed", async () => {
  const socket = await server.connect("1");
  const channel = socket.channel("room:stop");
  await outcome(channel.join());
  const closed = new Promise((resolve) => channel.onClose(resolve));
  assert.deepEqual(await outcome(channel.push("stop_reply", {})), { status: "ok", response: { bye: 1 } });
  await closed;
  assert.equal(channel.state, "closed");
  await closing(socket);
});

test("a second channel on the same topic replaces the first", async () => {
  const socket = await server.connect("1");
  const first = socket.channel("room:twice");
  await outcome(first.join());
  const second = socket.channel("room:twice");
  assert.equal((await outcome(second.join())).status, "ok");
  assert.equal((await outcome(second.push("echo", {}))).status, "ok");
  assert.equal(second.state, "joined");
  await closing(socket);
});

test("heartbeats are answered", async () => {
  const socket = await server.connect("1", { heartbeatIntervalMs: 100 });
  const seen = [];
  await new Promise((resolve) => socket.onMessage((m) => {
    if (m.topic === "phoenix") seen.push(m.payload.status);
    if (seen.length === 3) resolve();
  }));
  assert.deepEqual(seen, ["ok", "ok", "ok"]);
  assert.ok(socket.isConnected());
  await closing(socket);
});

