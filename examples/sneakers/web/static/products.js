// The shoes of the page: released while it is open, and sizes whose stock changes.

import { lock, replace } from "./focus.js";
import { readOut, say } from "./notices.js";

const LEVELS = { out: "sold out", low: "almost gone", medium: "going fast", high: "in stock" };

const nameOf = (shoe) => shoe.dataset.name;

let chosen = new Set(); // the items in the cart

// markChosen shows which sizes are in the cart.
export function markChosen(ids) {
  chosen = ids;
  for (const button of document.querySelectorAll(".size-container__entry")) write(button);
}

const levelOf = (button) => Object.keys(LEVELS).find((level) => button.classList.contains("level-" + level));

function write(button) {
  const level = levelOf(button), mine = chosen.has(Number(button.dataset.itemId));
  button.classList.toggle("chosen", mine);
  button.querySelector(".level").textContent = mine && level !== "out" ? "in your cart" : LEVELS[level];
}

function showLevel(shoe, id, level) {
  const button = shoe.querySelector(`button[data-item-id="${CSS.escape(String(id))}"]`);
  if (!button || levelOf(button) === level) return;
  const back = levelOf(button) === "out";
  button.className = "size-container__entry level-" + level;
  lock(button, level === "out");
  write(button);
  if (level === "out" || back) readOut(nameOf(shoe) + ", size " + button.dataset.size + ": " + (back ? "back in stock" : "sold out"));
}

// showSizes takes over the sizes as the server has rendered them.
function showSizes(shoe, html) {
  replace(shoe.querySelector(".size-container"), html);
  for (const button of shoe.querySelectorAll(".size-container__entry")) write(button);
  if (shoe.dataset.released === "true") return;
  shoe.dataset.released = "true";
  say(nameOf(shoe) + " is released.", "good");
}

// openProducts joins the channel of each shoe on the page.
export function openProducts(live) {
  for (const shoe of document.querySelectorAll(".shoe[data-product-id]")) {
    live.channel("product:" + shoe.dataset.productId, () => ({}), {
      released: ({ size_html }) => showSizes(shoe, size_html),
      stock_change: ({ item_id, level }) => showLevel(shoe, item_id, level),
      // After each join: nothing is missing between the page and the first event.
      state: ({ released, size_html }) => {
        if (released) showSizes(shoe, size_html);
      },
    });
  }
}
