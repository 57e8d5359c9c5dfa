// The admin's page: loaded with the figures of the moment, and live from there on.

import { Audience } from "./audience.js";
import { Live } from "./channels.js";
import { $, showState } from "./notices.js";
import { Sales, showPages, showSizes } from "./charts.js";

const live = new Live("/admin_socket", document.body.dataset.token, (state) => {
  showState(state);
  if (state === "lost") renew();
});
const audience = new Audience();
const sales = new Sales($("sales"), $("sales-text"));
let latest; // figures

// renew gets a token for the next connection: this page may have been without one for longer
// than its own is valid. The address is written out, since that of the page may have a
// password in it, with which nothing can be fetched.
async function renew() {
  const response = await fetch(location.origin + "/admin/token", { cache: "no-store" }).catch(() => undefined);
  if (response?.ok) live.token = (await response.json()).token;
}

// Many changes are one look.
let due = false;
function later() {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    show();
  }, 100);
}

function show() {
  const { shoppers, tabs, inCarts, pages, items } = audience.count();
  $("shoppers").textContent = shoppers;
  $("tabs").textContent = tabs;
  $("in-carts").textContent = inCarts;
  showPages($("pages"), pages, tabs);
  if (latest) showSizes(latest, items);
}

function figures(f) {
  $("sold").textContent = f.sold;
  $("left").textContent = f.available;
  $("refused").textContent = f.refused;
  $("alerts").textContent = f.alerts;
  $("alert-p99").textContent = f.alerts ? "p99 " + f.alert_p99_ms.toFixed(1) + " ms" : "";
  latest = f;
  sales.add(f.at, f.sold);
  for (const id of f.released) {
    const button = document.querySelector(`article[data-product-id="${id}"] .release button`);
    if (!button || button.disabled) continue;
    button.firstChild.textContent = "Released";
    button.disabled = true;
  }
  if (audience.known) later();
}

live.channel("admin:cart_tracker", () => ({}), {
  presence_state: (state) => {
    audience.begin(state);
    later();
  },
  presence_diff: (diff) => {
    if (audience.apply(diff)) later();
  },
  figures,
  token: ({ token }) => (live.token = token), // of the next connection
});
