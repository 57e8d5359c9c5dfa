// What an application does with the unmodified phoenix client, over WebSocket
// and over long polling. Run: npm install && npm test
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Presence } from "phoenix";
import { bytes, closing, errored, once, outcome, serve, transports, until } from "./kit.mjs";

let server;
before(async () => { server = await serve(); });
after(() => server.stop());

for (const [name, transport, mount] of transports) {
  const connect = (id, opts = {}) => server.connect(id, { transport, ...opts }, mount);

  test(`${name}: joins, echoes and leaves`, async () => {
    const socket = await connect("1");
    const channel = socket.channel("room:a", { hello: 1 });
    assert.deepEqual(await outcome(channel.join()), { status: "ok", response: {} });
    assert.deepEqual(await outcome(channel.push("echo", { x: [1, "ü", null] })), { status: "ok", response: { x: [1, "ü", null] } });
    const closed = new Promise((resolve) => channel.onClose(resolve));
    assert.equal((await outcome(channel.leave())).status, "ok");
    await closed;
    await closing(socket);
  });

  test(`${name}: a push is answered ok, error, or not at all`, async () => {
    const socket = await connect("1");
    const channel = socket.channel("room:answers");
    await outcome(channel.join());
    assert.deepEqual(await outcome(channel.push("echo", { n: 1 })), { status: "ok", response: { n: 1 } });
    assert.deepEqual(await outcome(channel.push("fail", { n: 2 })), { status: "error", response: { n: 2 } });
    assert.equal((await outcome(channel.push("new_msg_from", {}, 100))).status, "timeout");
    assert.equal((await outcome(channel.push("echo", {}))).status, "ok", "the channel goes on");
    await closing(socket);
  });

  test(`${name}: refusals carry their reason`, async () => {
    const socket = await connect("1");
    assert.deepEqual(await outcome(socket.channel("user:2").join()), { status: "error", response: { reason: "unauthorized" } });
    assert.deepEqual(await outcome(socket.channel("nope:1").join()), { status: "error", response: { reason: "unmatched topic" } });
    assert.deepEqual(await outcome(socket.channel("room:crash").join()), { status: "error", response: { reason: "join crashed" } });
    await closing(socket);
  });

  test(`${name}: broadcasts reach everybody, and are intercepted for each`, async () => {
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
    const msg = [once(ca, "msg"), once(cb, "msg")];
    await server.post("/broadcast?topic=room:talk&bytes=3");
    assert.deepEqual((await Promise.all(msg)).map((m) => m.pad), ["xxx", "xxx"]);
    await closing(a);
    await closing(b);
  });

  test(`${name}: binary to the server`, async () => {
    const [socket, other] = [await connect("1"), await server.connect("2")];
    const [from, to] = [socket.channel("room:bin"), other.channel("room:bin")];
    await outcome(from.join());
    await outcome(to.join());
    const got = once(to, "bin");
    from.push("bin_bcast", new Uint8Array([1, 2, 255]).buffer);
    assert.deepEqual(bytes(await got), [1, 2, 255]);
    await closing(socket);
    await closing(other);
  });

  test(`${name}: presence: state, joins, leaves, several metas`, async () => {
    const [a, b] = [await connect("ann"), await connect("bob")];
    const room = a.channel("presence:x", { dev: "phone" });
    const presence = new Presence(room);
    const events = [];
    presence.onJoin((key, before, now) => events.push(`+${key}${now.metas.length}`));
    presence.onLeave((key, now, left) => events.push(`-${key}${left.metas.length}`));
    const pushed = once(room, "presence_state");
    await outcome(room.join());
    assert.ok("ann" in (await pushed), "presence_state is pushed by the server");
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

  test(`${name}: a crashed channel is joined again, another one goes on`, async () => {
    const socket = await connect("1");
    const [bad, good] = [socket.channel("room:bad"), socket.channel("room:good")];
    await outcome(bad.join());
    await outcome(good.join());
    const crashed = errored(bad);
    bad.push("crash", {});
    await crashed;
    assert.equal((await outcome(good.push("echo", { still: "here" }))).status, "ok");
    await until(() => bad.state === "joined");
    assert.equal((await outcome(bad.push("echo", {}))).status, "ok");
    await closing(socket);
  });

  test(`${name}: after a forced disconnect the client comes back and joins again`, async () => {
    const socket = await connect("kicked");
    const channel = socket.channel("user:kicked");
    await outcome(channel.join());
    let code;
    socket.onClose((event) => { code ??= event.code; });
    const down = errored(channel);
    await server.post("/disconnect?user=kicked");
    await down;
    await until(() => channel.state === "joined");
    if (name === "WebSocket") assert.equal(code, 1001);
    const msg = once(channel, "msg");
    await server.post("/broadcast?topic=user:kicked&event=msg&bytes=3");
    assert.equal((await msg).pad, "xxx");
    await closing(socket);
  });
}

test("WebSocket: binary from the server: reply, broadcast and push", async () => {
  const socket = await server.connect("1");
  const channel = socket.channel("room:binary");
  await outcome(channel.join());
  const reply = await outcome(channel.push("bin", new Uint8Array([1, 2]).buffer));
  assert.equal(reply.status, "ok");
  assert.deepEqual(bytes(reply.response), [1, 2, 3, 4]);
  for (const event of ["bin_bcast", "bin_push"]) {
    const got = once(channel, "bin");
    channel.push(event, new Uint8Array([0, 255]).buffer);
    assert.deepEqual(bytes(await got), [0, 255]);
  }
  await closing(socket);
});
