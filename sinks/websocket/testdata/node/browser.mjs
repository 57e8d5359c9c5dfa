// The phoenix package as npm has it, in a real browser. Run: npm run browser
// Environment: CHROMIUM is the browser's path (default /usr/bin/chromium).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./kit.mjs";

const library = readFileSync(fileURLToPath(import.meta.resolve("phoenix")));
// What the page offers to the tests below.
const script = `
import { LongPoll, Presence, Socket } from "/phoenix.mjs";
const outcome = (push) => new Promise((resolve) => {
  for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
});
const once = (channel, event) => new Promise((resolve) => {
  const ref = channel.on(event, (payload) => { channel.off(event, ref); resolve(payload); });
});
const until = (condition) => new Promise((resolve) => {
  const timer = setInterval(() => { if (condition()) { clearInterval(timer); resolve(); } }, 20);
});
const connect = async (base, authToken, opts = {}) => {
  const socket = new Socket("ws://" + base + "/socket", { authToken, ...opts });
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await opened;
  return socket;
};
const closing = (socket) => new Promise((resolve) => socket.disconnect(resolve));
const bytes = (buffer) => [...new Uint8Array(buffer)];
Object.assign(window, { LongPoll, Presence, Socket, outcome, once, until, connect, closing, bytes, ready: true });
`;
const files = {
  "/": ["text/html", "<!doctype html><title>phoenix</title><script type=module src=/page.mjs></script>"],
  "/page.mjs": ["text/javascript", script],
  "/phoenix.mjs": ["text/javascript", library],
};

let server, site, browser, page;
const errors = [];

before(async () => {
  server = await serve("-resume");
  site = http.createServer((req, res) => {
    const [type, body] = files[req.url] ?? ["text/plain", "not found"];
    res.writeHead(files[req.url] ? 200 : 404, { "content-type": type }).end(body);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (e) => errors.push(e.message));
  // The server takes pages of localhost.
  await page.goto(`http://localhost:${site.address().port}/`);
  await page.waitForFunction(() => window.ready);
});

after(async () => {
  await browser?.close();
  site?.close();
  await server?.stop();
});

// run runs f in the page with the server's address and the tokens of two users.
const run = async (f) => page.evaluate(f, [server.base, await server.token("ann"), await server.token("bob")]);

test("joins; pushes are answered ok, error, or not at all", async () => {
  const got = await run(async ([base, token]) => {
    const socket = await connect(base, token);
    const channel = socket.channel("room:a", {});
    const results = [await outcome(channel.join())];
    results.push(await outcome(channel.push("echo", { x: "ü" })));
    results.push(await outcome(channel.push("fail", { why: 1 })));
    results.push((await outcome(channel.push("new_msg_from", {}, 100))).status);
    results.push(await outcome(socket.channel("user:bob").join()));
    await closing(socket);
    return results;
  });
  assert.deepEqual(got, [
    { status: "ok", response: {} }, { status: "ok", response: { x: "ü" } }, { status: "error", response: { why: 1 } }, "timeout",
    { status: "error", response: { reason: "unauthorized" } },
  ]);
});

test("the server pushes and broadcasts", async () => {
  const got = await run(async ([base, token, other]) => {
    const [a, b] = [await connect(base, token), await connect(base, other)];
    const [ca, cb] = [a.channel("room:b"), b.channel("room:b")];
    await outcome(ca.join());
    await outcome(cb.join());
    const all = [once(ca, "intercepted"), once(cb, "intercepted")];
    ca.push("intercepted", { n: 1 });
    const from = once(ca, "new_msg_from");
    cb.push("new_msg_from", { n: 2 });
    const results = [...(await Promise.all(all)), await from];
    await closing(a);
    await closing(b);
    return results;
  });
  assert.deepEqual(got, [{ n: 1, user: "ann" }, { n: 1, user: "bob" }, { n: 2 }]);
});

test("binary both ways", async () => {
  const got = await run(async ([base, token]) => {
    const socket = await connect(base, token);
    const channel = socket.channel("room:bin");
    await outcome(channel.join());
    const results = [bytes((await outcome(channel.push("bin", new Uint8Array([1, 2]).buffer))).response)];
    for (const event of ["bin_bcast", "bin_push"]) {
      const message = once(channel, "bin");
      channel.push(event, new Uint8Array([0, 255]).buffer);
      results.push(bytes(await message));
    }
    await closing(socket);
    return results;
  });
  assert.deepEqual(got, [[1, 2, 3, 4], [0, 255], [0, 255]]);
});

test("presence", async () => {
  const got = await run(async ([base, token, other]) => {
    const [a, b] = [await connect(base, token), await connect(base, other)];
    const room = a.channel("presence:p", { dev: "phone" });
    const presence = new Presence(room);
    const who = () => presence.list((key, { metas }) => key + ":" + metas.map((m) => m.dev)).sort().join(" ");
    const results = [];
    const seen = async (want) => { await until(() => who() === want); results.push(who()); };
    await outcome(room.join());
    await seen("ann:phone");
    const theirs = b.channel("presence:p", { dev: "tv" });
    await outcome(theirs.join());
    await seen("ann:phone bob:tv");
    await outcome(theirs.push("update", { dev: "radio" }));
    await seen("ann:phone bob:radio");
    await closing(b);
    await seen("ann:phone");
    await closing(a);
    return results;
  });
  assert.deepEqual(got, ["ann:phone", "ann:phone bob:tv", "ann:phone bob:radio", "ann:phone"]);
});

test("a crashed channel is joined again, another one goes on", async () => {
  const got = await run(async ([base, token]) => {
    const socket = await connect(base, token);
    const [bad, good] = [socket.channel("room:bad"), socket.channel("room:good")];
    await outcome(bad.join());
    await outcome(good.join());
    const crashed = new Promise((resolve) => bad.onError(resolve));
    bad.push("crash", {});
    await crashed;
    const results = [bad.state, (await outcome(good.push("echo", { still: "here" }))).response];
    await until(() => bad.state === "joined");
    results.push((await outcome(bad.push("echo", { again: 1 }))).response);
    await closing(socket);
    return results;
  });
  assert.deepEqual(got, ["errored", { still: "here" }, { again: 1 }]);
});

test("long polling from another origin, and as the fallback", async () => {
  const got = await run(async ([base, token]) => {
    // A WebSocket that never opens, as behind a proxy that swallows upgrades.
    class Silent { readyState = 0; close() {} send() {} }
    const results = [];
    for (const opts of [{ transport: LongPoll }, { transport: Silent, longPollFallbackMs: 200 }]) {
      const socket = await connect(base, token, opts);
      const channel = socket.channel("room:poll");
      results.push((await outcome(channel.join())).status, (await outcome(channel.push("echo", { a: "ü" }))).response, socket.transport === LongPoll);
      const message = once(channel, "new_msg");
      channel.push("new_msg", { n: 1 });
      results.push(await message);
      await closing(socket);
    }
    return results;
  });
  const each = ["ok", { a: "ü" }, true, { n: 1 }];
  assert.deepEqual(got, [...each, ...each]);
});

test("comes back after a restart of the server, and knows what it missed", async () => {
  await run(async ([base, token]) => {
    const socket = await connect(base, token);
    const at = {};
    const state = (window.state = { replies: [], offsets: [], socket });
    state.room = socket.channel("room:restart");
    state.kept = socket.channel("kept:restart", () => ({ resume: at }));
    state.kept.onMessage = (event, payload) => { if (payload?.resume_offset) at.offset = payload.resume_offset; return payload; };
    state.kept.on("msg", (m) => state.offsets.push(m.resume_offset));
    await outcome(state.room.join());
    await outcome(state.kept.join().receive("ok", ({ resume }) => { Object.assign(at, { epoch: resume.epoch, offset: resume.offset }); state.replies.push(resume.reason ?? "recovered"); }));
  });
  await server.post("/disconnect?user=ann");
  await server.post("/broadcast?topic=kept:restart&count=3");
  await page.waitForFunction(() => window.state.offsets.length === 3);
  await server.end("SIGKILL");
  await page.waitForFunction(() => window.state.room.state === "errored");
  await server.start();
  await page.waitForFunction(() => window.state.room.state === "joined" && window.state.kept.state === "joined");
  const got = await page.evaluate(async () => {
    const reply = await outcome(state.room.push("echo", { again: 1 }));
    await closing(state.socket);
    return [reply, state.replies, state.offsets];
  });
  assert.deepEqual(got, [{ status: "ok", response: { again: 1 } }, ["new", "recovered", "epoch"], [1, 2, 3]]);
});

test("the page had no error", () => assert.deepEqual(errors, []));
