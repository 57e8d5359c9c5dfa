// The page works without this script: each form posts. With it the sizes, the cart and the
// news are live, and nothing is loaded again.

import { openCart } from "./cart.js";
import { Live } from "./channels.js";
import { showState } from "./notices.js";
import { markChosen, openProducts } from "./products.js";

const { cartId, token } = document.body.dataset;
const live = new Live("/socket", token, showState);
openCart(live, cartId, markChosen);
openProducts(live);

// A page that the browser has kept, and not loaded, shows what was.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
