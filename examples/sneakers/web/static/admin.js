"use strict";

const $ = (id) => document.getElementById(id);
const carts = new Map(); // by cart id: the metas of its tabs

const live = new Live("/admin_socket", document.body.dataset.token, (connected) => {
  $("offline").hidden = connected;
  // The connection was perhaps away for longer than the token is valid.
  if (!connected) fetch("/admin/token").then((r) => r.ok && r.json().then(({ token }) => (live.token = token))).catch(() => {});
  document.body.dataset.live = connected ? "yes" : "no";
});

// --- presence: who is here ---

let state = null; // presence_state has come

function apply({ joins, leaves }) {
  for (const [id, { metas }] of Object.entries(joins)) {
    const known = (carts.get(id) ?? []).filter((m) => !metas.some((n) => n.phx_ref === m.phx_ref));
    carts.set(id, [...known, ...metas]);
  }
  for (const [id, { metas }] of Object.entries(leaves)) {
    const left = (carts.get(id) ?? []).filter((m) => !metas.some((n) => n.phx_ref === m.phx_ref));
    if (left.length) carts.set(id, left);
    else carts.delete(id);
  }
}

let due = false;
function later() {
  if (due) return;
  due = true;
  setTimeout(() => { due = false; show(); }, 100); // many changes are one look
}

function show() {
  const pages = new Map(), items = new Map();
  let tabs = 0, inCarts = 0;
  for (const metas of carts.values()) {
    for (const { page } of metas) {
      tabs++;
      pages.set(page, (pages.get(page) ?? 0) + 1);
    }
    for (const id of metas.at(-1).items) {
      inCarts++;
      items.set(String(id), (items.get(String(id)) ?? 0) + 1);
    }
  }
  $("shoppers").textContent = carts.size;
  $("tabs").textContent = tabs;
  $("in-carts").textContent = inCarts;
  const most = Math.max(1, ...pages.values());
  $("pages").replaceChildren(...[...pages].sort((a, b) => b[1] - a[1]).slice(0, 12).map(([page, count]) => {
    const li = document.createElement("li"), name = document.createElement("span"), bar = document.createElement("meter"), figure = document.createElement("b");
    name.textContent = page;
    bar.max = most;
    bar.value = count;
    figure.textContent = count;
    li.append(name, bar, figure);
    return li;
  }));
  for (const li of document.querySelectorAll("li[data-item-id]")) li.querySelector(".carts").textContent = items.get(li.dataset.itemId) ?? 0;
}

// --- figures: stock and sales ---

const rates = []; // {at, sold}, the last minute

function figures(f) {
  $("sold").textContent = f.sold;
  $("left").textContent = f.available;
  $("refused").textContent = f.refused;
  $("alerts").textContent = f.alerts ? f.alert_p99_ms.toFixed(1) + " ms" : "–";
  for (const li of document.querySelectorAll("li[data-item-id]")) {
    const left = f.items[li.dataset.itemId];
    if (left === undefined) continue;
    li.querySelector(".left").textContent = left;
    const meter = li.querySelector("meter");
    if (left > meter.max) meter.max = left;
    meter.value = left;
  }
  for (const shoe of document.querySelectorAll("article[data-product-id]")) {
    const button = shoe.querySelector(".release button");
    if (!f.released.includes(Number(shoe.dataset.productId)) || button.disabled) continue;
    button.disabled = true;
    button.textContent = "Released";
  }
  rates.push({ at: f.at, sold: f.sold });
  while (rates[0].at < f.at - 60_000) rates.shift();
  chart();
}

function chart() {
  const points = [];
  for (let i = 1; i < rates.length; i++) {
    const seconds = Math.max(0.1, (rates[i].at - rates[i - 1].at) / 1000);
    points.push({ at: rates[i].at, rate: Math.max(0, rates[i].sold - rates[i - 1].sold) / seconds });
  }
  if (!points.length) return;
  const most = Math.max(1, ...points.map((p) => p.rate)), end = points.at(-1).at;
  $("rate").textContent = Math.round(points.at(-1).rate);
  $("sales").querySelector("polyline").setAttribute("points",
    points.map((p) => (600 - (end - p.at) / 100).toFixed(1) + "," + (96 - (p.rate / most) * 92).toFixed(1)).join(" "));
}

live.channel("admin:cart_tracker", () => ({}), {
  presence_state: (all) => {
    carts.clear();
    apply({ joins: all, leaves: {} });
    state = true;
    later();
  },
  presence_diff: (diff) => {
    if (!state) return; // it is in the state that comes
    apply(diff);
    later();
  },
  figures,
  token: ({ token }) => (live.token = token), // of the next connection
});
