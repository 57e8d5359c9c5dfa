// The server is killed and started again: the unmodified phoenix client comes
// back and joins again by itself. And clients that WebSocket does not get
// through to fall back to long polling.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import WebSocket from "ws";
import { LongPoll, Socket } from "phoenix";
import { closing, errored, once, outcome, serve, transports, until } from "./kit.mjs";

let server;
before(async () => { server = await serve(); });
after(() => server.stop());

for (const [name, transport, mount] of transports) {
  for (const signal of ["SIGKILL", "SIGTERM"]) {
    test(`${name}: joins again after a restart by ${signal}`, async () => {
      const socket = await server.connect("1", { transport }, mount);
      const [first, second] = [socket.channel("room:a"), socket.channel("user:1")];
      await outcome(first.join());
      await outcome(second.join());
      const down = errored(first);
      await server.end(signal);
      await down;
      const buffered = outcome(first.push("echo", { while: "down" }));
      await server.start();
      await until(() => first.state === "joined" && second.state === "joined");
      assert.deepEqual(await buffered, { status: "ok", response: { while: "down" } });
      const msg = once(second, "msg");
      await server.post("/broadcast?topic=user:1&bytes=3");
      assert.equal((await msg).pad, "xxx");
      await closing(socket);
    });
  }
}

// proxy passes plain requests on to the server and treats upgrades as told.
async function proxy(upgrade) {
  const sockets = new Set();
  const p = http.createServer((req, res) => {
    const [hostname, port] = server.base.split(":");
    const to = http.request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    to.on("error", () => res.destroy());
    req.pipe(to);
  });
  p.on("connection", (s) => { sockets.add(s); s.on("close", () => sockets.delete(s)); });
  p.on("upgrade", (req, socket) => upgrade(socket));
  await new Promise((resolve) => p.listen(0, "127.0.0.1", resolve));
  return {
    base: `127.0.0.1:${p.address().port}`,
    close: () => { for (const s of sockets) s.destroy(); return new Promise((resolve) => p.close(resolve)); },
  };
}

for (const [what, upgrade] of [
  ["is refused", (s) => s.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")],
  ["hangs", () => {}],
]) {
  test(`P143 falls back to long polling when the upgrade ${what}`, async () => {
    const p = await proxy(upgrade);
    const socket = new Socket(`ws://${p.base}/short`, { transport: WebSocket, longPollFallbackMs: 300, authToken: await server.token("1") });
    socket.connect();
    const channel = socket.channel("room:fallback");
    assert.equal((await outcome(channel.join())).status, "ok");
    assert.equal(socket.transport, LongPoll);
    assert.deepEqual(await outcome(channel.push("echo", { n: 1 })), { status: "ok", response: { n: 1 } });
    const msg = once(channel, "msg");
    await server.post("/broadcast?topic=room:fallback&bytes=3");
    assert.equal((await msg).pad, "xxx");
    await closing(socket);
    await p.close();
  });
}

test("P143 stays with WebSocket when its ping is answered", async () => {
  const socket = await server.connect("1", { longPollFallbackMs: 2_000 });
  const channel = socket.channel("room:kept");
  assert.equal((await outcome(channel.join())).status, "ok");
  await new Promise((resolve) => setTimeout(resolve, 4_000)); // twice the time of the fallback
  assert.equal(socket.transport, WebSocket);
  assert.equal((await outcome(channel.push("echo", {}))).status, "ok");
  await closing(socket);
});
