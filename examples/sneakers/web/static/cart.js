// The cart: one for all tabs of a shopper, kept by the browser as a signed token.

import { isLocked, lock, replace } from "./focus.js";
import { $, readOut, say } from "./notices.js";

const COOKIE = "sneakers_cart";
const WEEK = 7 * 24 * 3600; // seconds, as long as the token is valid

const ERRORS = {
  duplicate_item: "This shoe is in your cart already. One size of it is allowed.",
  not_found: "There is no such item.",
  not_released: "This shoe cannot be bought yet.",
  cart_full: "Your cart is full.",
};

const kept = () => document.cookie.split("; ").find((c) => c.startsWith(COOKIE + "="))?.slice(COOKIE.length + 1) ?? "";

let buying = false; // the response to a purchase says what the cart is then

function keep(serialized, age = WEEK) {
  if (buying) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = COOKIE + "=" + serialized + "; Path=/; Max-Age=" + age + "; SameSite=Lax" + secure;
}

// openCart joins the channel of a cart. changed(ids) is called with the items in it.
export function openCart(live, id, changed) {
  window.addEventListener("pageshow", () => (buying = false)); // back from what was bought
  let shown; // the items that the page shows, by id; none before the first

  function show({ items, serialized, html }) {
    keep(serialized);
    for (const item of items) {
      if (item.out_of_stock && shown?.get(item.id)?.out_of_stock === false) {
        say(item.brand + " " + item.name + ", size " + item.size + ", has sold out.", "bad");
      }
    }
    if (shown && shown.size !== items.length) readOut("Your cart has " + items.length + (items.length === 1 ? " item" : " items"));
    shown = new Map(items.map((item) => [item.id, item]));
    $("cart-count").textContent = items.length;
    document.body.dataset.cart = "ready";
    changed(new Set(shown.keys()));
    const region = $("cart");
    if (!region) return;
    replace(region, html);
    const empty = items.length === 0, anyOut = items.some((item) => item.out_of_stock);
    if ($("to-checkout")) $("to-checkout").hidden = empty || anyOut;
    if ($("purchase")) {
      $("purchase").hidden = empty;
      lock($("buy"), anyOut);
    }
  }

  const channel = live.channel("cart:" + id, () => ({ serialized: kept(), page: location.pathname }), {
    cart: show,
    push_timed: ({ kind, text }) => say(text, kind === "back" ? "good" : "warn"),
    refused: (reason) => {
      if (reason !== "invalid_cart") return;
      keep("", 0);
      say("Your cart was too old, or not yours: it is empty now.", "warn");
      channel.joinNow();
    },
  });

  // Forms of the cart go over the channel; while there is none they post.
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    if (submitter && isLocked(submitter)) return event.preventDefault();
    if (form.id === "purchase") {
      buying = true;
      // The key makes a second click harmless; this only spares the shopper the wait.
      setTimeout(() => ($("buy").disabled = true));
      return;
    }
    const adds = form.matches("[data-add]");
    if (!submitter?.value || (!adds && !form.matches("[data-remove]"))) return;
    const sent = channel.push(adds ? "add_item" : "remove_item", { item_id: submitter.value }, (status, response) => {
      if (status !== "ok") return say(ERRORS[response.error] ?? "That did not work. Load the page again.", "bad");
      show(response);
      if (adds) say("Size " + submitter.dataset.size + " is in your cart.", "good");
    });
    if (sent) event.preventDefault();
  });
}
