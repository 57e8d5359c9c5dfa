// Three servers that share presences are restarted in turn, twice, under the unmodified
// phoenix client: no list that its class Presence shows has a user twice, and all users
// are back soon. Run by .ci/rolling.
import { test } from "node:test";
import assert from "node:assert/strict";
import net from "node:net";
import WebSocket from "ws";
import { Presence, Socket } from "phoenix";
import { address, serve } from "./kit.mjs";

const users = Array.from({ length: 60 }, (_, i) => `u${i}`);
const rounds = 2;
const back = 5_000; // milliseconds from the end of a restart until all lists are complete
const gone = 1_000; // from SIGTERM until the others show that a user of that node has left

const listen = (server) => new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));

// balance passes each connection to the next node that accepts one.
async function balance(nodes) {
  let next = 0;
  const pass = (from, attempts) => {
    if (attempts === 0) return from.destroy();
    const [host, port] = nodes[next++ % nodes.length].base.split(":");
    const to = net.connect({ host, port });
    to.once("error", () => pass(from, attempts - 1));
    to.once("connect", () => {
      to.removeAllListeners("error");
      for (const [one, other] of [[from, to], [to, from]]) {
        one.on("error", () => other.destroy());
        one.on("close", () => other.destroy());
        one.pipe(other);
      }
    });
  };
  const balancer = net.createServer((from) => {
    from.on("error", () => {});
    pass(from, nodes.length);
  });
  return `127.0.0.1:${await listen(balancer)}`;
}

// time waits until a condition holds, and is the milliseconds that took; NaN beyond limit. A look
// that comes late, since the machine has kept this process from running, counts as 50 ms of it.
async function time(limit, condition) {
  const begin = performance.now();
  for (let last = begin, waited = 0; !condition();) {
    if (waited > limit) return NaN;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const now = performance.now();
    waited += Math.min(now - last, 50);
    last = now;
  }
  return performance.now() - begin;
}

test("a rolling restart shows no user twice", async (t) => {
  const addrs = await Promise.all([address(), address(), address()]);
  // In batches, as a node with many clients ends: the first are elsewhere before the last leave.
  const nodes = await Promise.all(addrs.map((addr, i) =>
    serve("-shutdown-batch", "4", "-node", `n${i}`, "-cluster", addr, "-join", addrs.filter((other) => other !== addr).join())));
  const balancer = await balance(nodes);

  let lists = 0, now = "the start", since = performance.now();
  const twice = [], late = [];
  const clients = [];
  // Each user is an observer too: all of them see the lists of the node that they are at.
  const enter = async (user, base) => {
    const authToken = await nodes[0].token(user);
    const socket = new Socket(`ws://${base}/socket`, { transport: WebSocket, authToken });
    const channel = socket.channel("presence:lobby");
    const presence = new Presence(channel);
    presence.onSync(() => {
      lists++;
      presence.list((id, { metas }) => {
        if (metas.length !== 1) twice.push(`${user} saw ${id} ${metas.length} times, ${Math.round(performance.now() - since)} ms after ${now}`);
      });
    });
    channel.join();
    socket.connect();
    clients.push({ user, socket, channel, shows: (id) => id in presence.state, count: () => Object.keys(presence.state).length });
  };
  // One that stays at each node, and the users, who go where the balancer has them.
  const residents = nodes.map((_, i) => `resident${i}`);
  await Promise.all(residents.map((user, i) => enter(user, nodes[i].base)));
  await Promise.all(users.map((user) => enter(user, balancer)));
  const all = [...residents, ...users];
  const complete = () => clients.every((c) => c.channel.state === "joined" && c.count() === all.length && all.every(c.shows));
  const missing = () => clients.filter((c) => c.count() !== all.length || c.channel.state !== "joined").map((c) => `${c.user} ${c.channel.state} ${c.count()}`).join(", ");
  assert.ok(await time(10_000, complete) >= 0, `the lists are not complete: ${missing()}`);

  for (let round = 1; round <= rounds; round++) {
    for (const [i, node] of nodes.entries()) {
      now = `the end of node ${i}, round ${round}`;
      since = performance.now();
      const others = clients.filter((c) => residents.includes(c.user) && c.user !== residents[i]);
      const ended = node.end("SIGTERM");
      const left = await time(gone, () => others.every((c) => !c.shows(residents[i])));
      if (Number.isNaN(left)) late.push(`${residents[i]} was still shown ${gone} ms after ${now}`);
      await ended;
      await node.start();
      const restarted = performance.now() - since;
      const later = await time(back, complete);
      assert.ok(later >= 0, `${back} ms after the restart of node ${i}: ${missing()}`);
      t.diagnostic(`round ${round}, node ${i}: left after ${left.toFixed()} ms, up again after ${restarted.toFixed()} ms, lists complete ${later.toFixed()} ms later`);
    }
  }
  t.diagnostic(`${lists} lists, ${twice.length} of a user with two metas`);
  assert.deepEqual([...late, ...twice.slice(0, 10)], []);
  for (const c of clients) c.socket.disconnect();
  await Promise.all(nodes.map((node) => node.stop()));
});
