// The realtime client of Supabase, as npm has it. Its vsn 2.0.0 sends broadcasts
// in binary kinds of its own; the version of phoenix is 1.0.0.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import WebSocket from "ws";
import { RealtimeClient } from "@supabase/realtime-js";
import { pause, serve, until } from "./kit.mjs";

let server;
before(async () => { server = await serve(); });
after(async () => { assert.deepEqual(await server.stop(), [0, 0], "nginx and server end in order"); });

const subscribed = (channel) =>
  new Promise((resolve, reject) => channel.subscribe((status, err) => (status === "SUBSCRIBED" ? resolve() : reject(err ?? new Error(status)))));

for (const vsn of ["1.0.0", "2.0.0"]) {
  for (const route of ["direct", "nginx with TLS"]) {
    const client = async (id) => new RealtimeClient(server.routes[route].replace(/^http/, "ws") + "/socket", {
      transport: WebSocket, params: { apikey: await server.token(id) }, vsn,
    });

    if (vsn === "1.0.0") test(`broadcasts, vsn ${vsn}, ${route}`, async () => {
      const [ann, bob] = [await client("ann"), await client("bob")];
      const [from, to] = [
        ann.channel("talk", { config: { broadcast: { self: true, ack: true } } }),
        bob.channel("talk"),
      ];
      const [own, got] = [[], []];
      from.on("broadcast", { event: "pos" }, (m) => own.push(m.payload));
      to.on("broadcast", { event: "pos" }, (m) => got.push(m.payload));
      await Promise.all([subscribed(from), subscribed(to)]);
      const want = Array.from({ length: 50 }, (_, n) => ({ n, text: "ü 😀" }));
      for (const payload of want) assert.equal(await from.send({ type: "broadcast", event: "pos", payload }), "ok");
      await until(() => own.length >= 50 && got.length >= 50);
      assert.deepEqual([own, got], [want, want]);
      for (const c of [ann, bob]) await c.removeAllChannels();
      for (const c of [ann, bob]) c.disconnect();
    });

    test(`presence, vsn ${vsn}, ${route}`, async () => {
      const [ann, bob] = [await client("ann"), await client("bob")];
      const topic = `desk ${vsn} ${route}`.replaceAll(/[^a-z0-9]/gi, "-");
      const [watch, tracked] = [ann, bob].map((c) => c.channel(topic));
      watch.on("presence", { event: "sync" }, () => {});
      await Promise.all([subscribed(watch), subscribed(tracked)]);
      assert.equal(await tracked.track({ dev: "tv" }), "ok");
      await until(() => watch.presenceState().bob?.[0].dev === "tv");
      await tracked.untrack();
      await until(() => !watch.presenceState().bob);
      for (const c of [ann, bob]) await c.removeAllChannels();
      for (const c of [ann, bob]) c.disconnect();
    });
  }
}

test("refused without a token", async () => {
  const nobody = new RealtimeClient(server.routes.direct.replace(/^http/, "ws") + "/socket", { transport: WebSocket, params: { apikey: "wrong" }, vsn: "1.0.0" });
  await assert.rejects(subscribed(nobody.channel("talk")));
  nobody.disconnect();
  await pause(0);
});
