// The unmodified phoenix client from npm, in place of the page's own.
//
//   node phoenix.mjs BASE_URL ADMIN_PASSWORD RESTART_COMMAND
//
// As for shop.mjs. Exit code: 0 if everything held, 1 if not.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import WebSocket from "ws";
import { Presence, Socket } from "phoenix";

const [base, password, restart] = process.argv.slice(2);
const origin = new URL(base).origin;
const says = (text) => console.log("ok: phoenix: " + text);
// A test that waits for what does not come ends.
setTimeout(() => { throw new Error("not within five minutes"); }, 300_000).unref();

const outcome = (push) => new Promise((resolve) => {
  for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
});
const once = (channel, event, is = () => true) => new Promise((resolve) => {
  const ref = channel.on(event, (payload) => {
    if (!is(payload)) return;
    channel.off(event, ref);
    resolve(payload);
  });
});

// page loads a page as a browser does, and reads what it gives to its script.
async function page(path, headers = {}) {
  const response = await fetch(origin + path, { headers });
  const html = await response.text();
  const session = response.headers.getSetCookie().map((c) => c.split(";")[0]).join("; ");
  return { session, cartId: /data-cart-id="([^"]+)"/.exec(html)?.[1], token: /data-token="([^"]+)"/.exec(html)[1], csrf: /name="csrf" value="([^"]+)"/.exec(html)?.[1] };
}

const post = (path, fields, headers) => fetch(origin + path, { method: "POST", body: new URLSearchParams(fields), headers, redirect: "manual" });

const sockets = [];
async function connect(mount, token) {
  const socket = new Socket(origin.replace("http", "ws") + mount, { transport: WebSocket, authToken: token, reconnectAfterMs: () => 100, rejoinAfterMs: () => 100 });
  sockets.push(socket);
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await opened;
  return socket;
}

const boss = { authorization: "Basic " + Buffer.from("admin:" + password).toString("base64") };
const mine = await page("/");
const socket = await connect("/socket", mine.token);

// Products.
const [first, last] = [socket.channel("product:1"), socket.channel("product:4")];
const states = [once(first, "state"), once(last, "state")];
assert.deepEqual(await outcome(first.join()), { status: "ok", response: {} });
assert.equal((await outcome(last.join())).status, "ok");
const [one, four] = await Promise.all(states);
assert.ok(one.released && one.size_html.includes("size-container__entry") && !four.released);
const items = Object.keys(one.levels).map(Number);
assert.deepEqual(await outcome(socket.channel("product:999").join()), { status: "error", response: { reason: "not_found" } });
says("joins product:*, and is refused what there is not");

// The cart.
let serialized = "";
const cart = socket.channel("cart:" + mine.cartId, () => ({ serialized, page: "/" }));
const begins = once(cart, "cart");
assert.equal((await outcome(cart.join())).status, "ok");
assert.deepEqual((await begins).items, []);
const foreign = socket.channel("cart:" + "A".repeat(64), { serialized: "", page: "/" });
assert.deepEqual(await outcome(foreign.join()), { status: "error", response: { reason: "unauthorized" } });
foreign.leave();
const push = (event, item_id) => outcome(cart.push(event, { item_id }));
const added = await push("add_item", items[0]);
assert.equal(added.status, "ok");
assert.equal(added.response.items[0].id, items[0]);
assert.deepEqual(await push("add_item", items[0]), { status: "error", response: { error: "duplicate_item" } });
assert.deepEqual(await push("add_item", items[1]), { status: "error", response: { error: "duplicate_item" } }, "another size of the shoe");
assert.deepEqual(await push("add_item", 999_999), { status: "error", response: { error: "not_found" } });
assert.deepEqual(await push("remove_item", items[1]), { status: "error", response: { error: "not_found" } });
says("joins cart:ID, adds and removes, and gets duplicate_item and not_found");

// A second tab.
const tab = (await connect("/socket", mine.token)).channel("cart:" + mine.cartId, { serialized: added.response.serialized, page: "/cart" });
assert.equal((await outcome(tab.join())).status, "ok");
const synced = once(tab, "cart", (c) => c.items.length === 0);
assert.deepEqual((await push("remove_item", items[0])).response.items, []);
await synced;
({ response: { serialized } } = await push("add_item", items[0]));
says("two tabs have one cart");

// The admin: presence with the client's own Presence, and a release.
const office = await page("/admin", boss);
const tracker = (await connect("/admin_socket", office.token)).channel("admin:cart_tracker");
const presence = new Presence(tracker);
const here = new Promise((resolve) => presence.onSync(() => {
  const list = presence.list((id, { metas }) => ({ id, tabs: metas.length, items: metas.at(-1).items }));
  if (list.length === 1 && list[0].tabs === 2 && list[0].items[0] === items[0]) resolve(list);
}));
assert.equal((await outcome(tracker.join())).status, "ok");
assert.equal((await here)[0].id, mine.cartId);
const released = once(last, "released");
assert.equal((await post("/admin/release", { product_id: "4", csrf: office.csrf }, boss)).status, 303);
assert.ok((await released).size_html.includes("size-container__entry"));
says("its Presence counts the tabs, and a release comes with the sizes");

// Another shopper buys what is in the cart.
const rival = await page("/");
const change = once(first, "stock_change"), out = once(cart, "cart", (c) => c.items[0]?.out_of_stock);
const taken = await post("/cart/add", { item_id: String(items[0]), csrf: rival.csrf }, { cookie: rival.session });
const jar = rival.session + "; " + taken.headers.getSetCookie().map((c) => c.split(";")[0]).join("; ");
assert.equal((await post("/checkout", { key: "once", csrf: rival.csrf }, { cookie: jar })).status, 303);
assert.deepEqual(await change, { product_id: 1, item_id: items[0], level: "out" });
assert.equal((await out).items[0].id, items[0]);
says("gets stock_change, and the cart when a size of it sells out");

// A restart: it connects and joins again by itself, with its cart.
const again = [once(first, "state"), once(cart, "cart", (c) => c.items[0]?.id === items[0])];
await promisify(execFile)("/bin/sh", ["-c", restart]);
assert.equal((await again[0]).levels[items[0]], "out");
await again[1];
assert.equal((await push("remove_item", items[0])).status, "ok");
says("joins again after a restart, with its cart");
for (const s of sockets) s.disconnect();
process.exit(0);
