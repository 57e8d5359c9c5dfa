// One tab shops while others, and the admin, watch.
import assert from "node:assert/strict";
import { says, shows, size } from "./kit.mjs";

export async function watching(street, password) {
  const [ann, bob] = [await street.person(), await street.person()];
  const boss = await street.person({ viewport: { width: 1280, height: 900 }, httpCredentials: { username: "admin", password } });
  const shopping = await street.visit(ann), second = await street.visit(ann, "/cart"), other = await street.visit(bob);
  const admin = await street.visit(boss, "/admin");
  await shows(admin, "shoppers", "2");
  await shows(admin, "tabs", "3");
  says("the admin sees two shoppers with three pages");

  await size(shopping, 0, "7").click();
  await shows(shopping, "cart-count", "1");
  await second.locator(".line", { hasText: "size 7" }).waitFor();
  await size(shopping, 0, "7").getByText("in your cart").waitFor();
  await shows(admin, "in-carts", "1");
  says("a size in the cart is in the other tab's cart, and the admin sees it");

  await size(shopping, 0, "8").click();
  await shopping.locator("#news", { hasText: "One size" }).waitFor();
  await shopping.getByRole("button", { name: "Dismiss" }).click();
  await shows(shopping, "news", "");
  says("a second size of a shoe is refused, and the news can be dismissed");

  await admin.locator("article[data-product-id='2'] .release button").click();
  await size(other, 1, "9").waitFor();
  await other.locator("#news", { hasText: "is released" }).waitFor();
  says("a release shows the sizes on a page that was open");

  // Bob buys what is in Ann's cart.
  await size(other, 0, "7").click();
  await shows(other, "cart-count", "1");
  const checkout = await street.visit(bob, "/checkout");
  const bought = checkout.waitForResponse((r) => r.url().endsWith("/checkout") && r.request().method() === "POST");
  await checkout.getByRole("button", { name: "Buy now" }).click();
  await bought;
  const begun = Date.now();
  await second.locator(".line.out", { hasText: "Sold out" }).waitFor();
  const shown = Date.now() - begun;
  assert.equal(await second.locator(".total strong").textContent(), "$0", "the total has what cannot be bought");
  assert.ok(await second.locator("#to-checkout").isHidden(), "a cart that cannot be bought leads to the checkout");
  await checkout.getByRole("heading", { name: "It is yours" }).waitFor();
  await checkout.locator(".line", { hasText: "tide blue, size 7" }).waitFor();
  await shopping.locator("button[data-size='7'].level-out:disabled").first().waitFor();
  await shopping.locator("#read-out", { hasText: "tide blue, size 7: sold out" }).waitFor({ state: "attached" });
  await shows(admin, "sold", "1");
  await admin.locator("#sales rect[height='100']").first().waitFor({ state: "attached" });
  assert.match(await admin.locator("#sales-text").textContent(), /^1 in the last minute, at most 1 in a second$/);
  says("what another shopper buys is sold out in the cart (" + shown + " ms after the sale), on the page, read out, and in the admin's picture");

  await second.locator(".line", { hasText: "size 7" }).getByRole("button", { name: "Remove" }).click();
  await shows(shopping, "cart-count", "0");
  await second.getByText("Your cart is empty").waitFor();
  await size(shopping, 1, "10").click();
  await second.locator(".line", { hasText: "size 10" }).waitFor();
  says("what a tab removes and adds is so in the other one");
  await Promise.all([other.close(), checkout.close()]);
  return { ann, bob, boss, shopping, second, admin };
}
