"use strict";

// The page works without this script: each form posts. With it the sizes, the cart and the
// news are live, and nothing is loaded again.

const $ = (id) => document.getElementById(id);
const { cartId, token } = document.body.dataset;
const COOKIE = "sneakers_cart";

const live = new Live("/socket", token, (connected) => {
  clearTimeout(live?.notice);
  // Not for a moment's drop.
  if (connected) $("offline").hidden = true;
  else if (live) live.notice = setTimeout(() => ($("offline").hidden = false), 1500);
  document.body.dataset.live = connected ? "yes" : "no";
});

// say shows news and has it read out.
function say(text, kind = "") {
  const note = document.createElement("p");
  note.className = "notice " + kind;
  note.textContent = text;
  $("news").replaceChildren(note);
}

// --- the cart ---

const keptCart = () => document.cookie.split("; ").find((c) => c.startsWith(COOKIE + "="))?.slice(COOKIE.length + 1) ?? "";

function keepCart(serialized) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = COOKIE + "=" + serialized + "; Path=/; Max-Age=604800; SameSite=Lax" + secure;
}

let shown = new Map(); // the items of the cart, by id

function showCart({ items, serialized, html }) {
  keepCart(serialized);
  for (const item of items) {
    if (item.out_of_stock && shown.get(item.id)?.out_of_stock === false) say(item.brand + " " + item.name + ", size " + item.size + ", has sold out.", "bad");
  }
  shown = new Map(items.map((item) => [item.id, item]));
  $("cart-count").textContent = items.length;
  document.body.dataset.cart = "ready";
  const region = $("cart");
  if (!region) return;
  // What has the focus keeps it.
  const focused = document.activeElement?.closest?.("[data-line]")?.dataset.line;
  region.innerHTML = html;
  if (focused) region.querySelector(`[data-line="${CSS.escape(focused)}"] button`)?.focus();
  const empty = items.length === 0;
  if ($("to-checkout")) $("to-checkout").hidden = empty;
  if ($("purchase")) {
    $("purchase").hidden = empty;
    $("purchase").querySelector("button").disabled = items.some((item) => item.out_of_stock);
  }
}

const cart = live.channel("cart:" + cartId, () => ({ serialized: keptCart(), page: location.pathname }), {
  cart: showCart,
  push_timed: ({ kind, text }) => say(text, kind === "back" ? "good" : "warn"),
  refused: (reason) => {
    if (reason !== "invalid_cart") return;
    document.cookie = COOKIE + "=; Path=/; Max-Age=0";
    say("Your cart was too old, or not yours: it is empty now.", "warn");
    cart.joinNow();
  },
});

const ERRORS = {
  duplicate_item: "This shoe is in your cart already. One size of it is allowed.",
  not_found: "There is no such item.",
  not_released: "This shoe cannot be bought yet.",
  cart_full: "Your cart is full.",
};

// Forms of the cart go over the channel; without one they post.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const id = event.submitter?.value;
  const adds = form.matches("[data-add]");
  if (form.id === "purchase") {
    // The key makes a second click harmless; this only spares the shopper the wait.
    setTimeout(() => (form.querySelector("button").disabled = true));
    return;
  }
  if (!id || (!adds && !form.matches("[data-remove]"))) return;
  const sent = cart.push(adds ? "add_item" : "remove_item", { item_id: id }, (status, response) => {
    if (status !== "ok") return say(ERRORS[response.error] ?? "That did not work. Load the page again.", "bad");
    showCart(response);
    if (adds) say("Size " + event.submitter.dataset.size + " is in your cart.", "good");
  });
  if (sent) event.preventDefault();
});

// --- products ---

const LEVELS = { out: "sold out", low: "almost gone", medium: "going fast", high: "in stock" };

function showLevel(itemId, level) {
  for (const button of document.querySelectorAll(`button[data-item-id="${CSS.escape(String(itemId))}"]`)) {
    if (button.classList.contains("level-" + level)) continue;
    button.className = "size-container__entry level-" + level;
    button.disabled = level === "out";
    button.querySelector(".level").textContent = LEVELS[level];
    button.dataset.at = Date.now();
  }
}

function showSizes(shoe, html) {
  if (shoe.dataset.released === "true") return;
  shoe.dataset.released = "true";
  shoe.querySelector(".size-container").innerHTML = html; // the server's own template
  say(shoe.querySelector("h2").textContent.trim() + " is released.", "good");
}

for (const shoe of document.querySelectorAll(".shoe[data-product-id]")) {
  live.channel("product:" + shoe.dataset.productId, () => ({}), {
    released: ({ size_html }) => showSizes(shoe, size_html),
    stock_change: ({ item_id, level }) => showLevel(item_id, level),
    state: ({ released, size_html, levels }) => {
      if (!released) return;
      showSizes(shoe, size_html);
      for (const [id, level] of Object.entries(levels)) showLevel(id, level);
    },
  });
}
