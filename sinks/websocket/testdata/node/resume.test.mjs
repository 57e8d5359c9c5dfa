// The unmodified phoenix client on a resumable topic: it drops, misses events,
// comes back and has everything once; or is told that it cannot.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { closing, errored, outcome, serve, transports, until } from "./kit.mjs";

let server;
before(async () => { server = await serve("-resume"); });
after(() => server.stop());

// resumable is all that a client needs to do: keep where it is, and say so with
// each join. phoenix.js calls the function for the params of each.
function resumable(socket, topic, at = {}) {
  const replies = [], offsets = [], seqs = [];
  const channel = socket.channel(topic, () => ({ resume: at }));
  channel.onMessage = (event, payload) => {
    if (payload?.resume_offset) at.offset = payload.resume_offset;
    return payload;
  };
  channel.on("msg", ({ seq, resume_offset }) => { seqs.push(seq); offsets.push(resume_offset); });
  const joined = channel.join().receive("ok", ({ resume }) => {
    at.epoch = resume.epoch;
    at.offset = resume.offset;
    replies.push(resume);
  });
  return { channel, joined, at, replies, offsets, seqs };
}

// away lets the client be gone for a moment, in which something happens.
async function away(client, id, happening) {
  const down = errored(client.channel);
  await server.post(`/disconnect?user=${id}`);
  await down;
  assert.notEqual(client.channel.state, "joined");
  const replies = client.replies.length;
  await happening();
  await until(() => client.replies.length > replies);
  return client.replies.at(-1);
}

const say = (topic, count, rate = 0) => server.post(`/broadcast?topic=${topic}&count=${count}&bytes=3&rate=${rate}`);
const upTo = (n, from = 1) => Array.from({ length: n - from + 1 }, (_, i) => from + i);

for (const [name, transport, mount] of transports) {
  const connect = (id) => server.connect(id, { transport, reconnectAfterMs: () => 300, rejoinAfterMs: () => 300 }, mount);
  const topic = (what) => `kept:${name}-${what}`;

  test(`${name}: what was missed comes once, in order, before anything newer`, async () => {
    const socket = await connect("r");
    const client = resumable(socket, topic("drop"));
    await outcome(client.joined);
    assert.deepEqual({ ...client.replies[0], epoch: "" }, { epoch: "", offset: 0, recovered: false, reason: "new" });
    await say(topic("drop"), 3);
    await until(() => client.offsets.length === 3);
    for (let round = 1; round <= 3; round++) {
      const reply = await away(client, "r", () => say(topic("drop"), 5));
      assert.equal(reply.recovered, true);
      await say(topic("drop"), 2);
      await until(() => client.offsets.length >= 3 + 7 * round);
    }
    assert.deepEqual(client.offsets, upTo(24));
    await closing(socket);
  });

  test(`${name}: a crash of the channel loses nothing`, async () => {
    const socket = await connect("r");
    const client = resumable(socket, topic("crash"));
    await outcome(client.joined);
    await say(topic("crash"), 3);
    const crashed = errored(client.channel);
    client.channel.push("crash", {});
    await crashed;
    await say(topic("crash"), 4);
    await until(() => client.replies.length === 2);
    await say(topic("crash"), 1);
    await until(() => client.offsets.length >= 8);
    assert.deepEqual(client.offsets, upTo(8));
    await closing(socket);
  });

  test(`${name}: leaving and joining again while events come loses nothing and repeats nothing`, async () => {
    const socket = await connect("r");
    const first = resumable(socket, topic("leave"));
    await outcome(first.joined);
    const all = say(topic("leave"), 200, 2000);
    await until(() => first.offsets.length >= 1);
    // Another channel object takes the place, with what the first one knew.
    const second = resumable(socket, topic("leave"), { ...first.at });
    const saw = first.offsets.length;
    await outcome(second.joined);
    await all;
    assert.ok(saw < 200 && second.replies[0].recovered);
    await until(() => second.at.offset === 200);
    assert.deepEqual([...first.offsets.slice(0, saw), ...second.offsets], upTo(200));
    await closing(socket);
  });

  test(`${name}: when too much was missed the client is told, and goes on from there`, async () => {
    const socket = await connect("r");
    const client = resumable(socket, topic("long"));
    await outcome(client.joined);
    await say(topic("long"), 2);
    await until(() => client.offsets.length === 2);
    const reply = await away(client, "r", () => say(topic("long"), 1000));
    assert.deepEqual([reply.recovered, reply.reason, reply.offset], [false, "history", 1002]);
    await say(topic("long"), 1);
    await until(() => client.offsets.length === 3);
    assert.deepEqual(client.offsets, [1, 2, 1003]);
    await closing(socket);
  });

  test(`${name}: what a client broadcasts to the others does not come back to it`, async () => {
    const [socket, other] = [await connect("r"), await connect("o")];
    const [client, peer] = [resumable(socket, topic("own")), resumable(other, topic("own"))];
    await outcome(client.joined);
    await outcome(peer.joined);
    const own = [], others = [];
    client.channel.on("new_msg_from", (m) => own.push(m));
    peer.channel.on("new_msg_from", (m) => others.push(m));
    for (let n = 1; n <= 3; n++) client.channel.push("new_msg_from", { n });
    await until(() => others.length === 3 && client.at.offset === 3);
    assert.equal((await away(client, "r", () => say(topic("own"), 1))).recovered, true);
    await until(() => client.offsets.length === 1 && peer.offsets.length === 1);
    assert.deepEqual([own, others.map((m) => m.n), client.offsets], [[], [1, 2, 3], [4]]);
    await closing(socket);
    await closing(other);
  });

  test(`${name}: after a restart of the server the client is told`, async () => {
    const socket = await connect("r");
    const client = resumable(socket, topic("restart"));
    await outcome(client.joined);
    await say(topic("restart"), 3);
    await until(() => client.offsets.length === 3);
    const down = errored(client.channel);
    await server.end("SIGKILL");
    await down;
    await server.start();
    await until(() => client.replies.length === 2);
    const reply = client.replies[1];
    assert.deepEqual([reply.recovered, reply.reason, reply.offset], [false, "epoch", 0]);
    assert.notEqual(reply.epoch, client.replies[0].epoch);
    await say(topic("restart"), 2);
    await until(() => client.offsets.length === 5);
    assert.deepEqual(client.offsets, [1, 2, 3, 1, 2]);
    assert.equal((await away(client, "r", () => say(topic("restart"), 1))).recovered, true, "and can resume again");
    await until(() => client.offsets.length === 6);
    await closing(socket);
  });
}
