// A shopper who has only a keyboard.
import assert from "node:assert/strict";
import { says, shoe, shows, size, tabTo } from "./kit.mjs";

const focused = (page) => page.evaluate(() => document.activeElement.textContent.replace(/\s+/g, " ").trim());
const inMain = (page) => page.evaluate(() => document.activeElement.closest("main") !== null);

export async function keyboard(street, { bob }) {
  const page = await street.visit(await street.person({ viewport: { width: 1280, height: 900 } }));
  await tabTo(page, /^Skip to content$/);
  await page.keyboard.press("Enter");
  await tabTo(page, /Harbor Low/);
  assert.ok(await inMain(page), "the link to the content does not lead there");
  await tabTo(page, /^Add size 9/);
  await page.keyboard.press("Enter");
  await shows(page, "cart-count", "1");
  assert.match(await focused(page), /^Add size 9/, "the focus is lost by what was added");

  // The size that has the focus sells out: it keeps the focus, and cannot be added.
  await size(page, 1, "8").focus();
  const rival = await street.visit(bob);
  await size(rival, 1, "8").click();
  await shows(rival, "cart-count", "1");
  await rival.goto(street.origin + "/checkout");
  await rival.getByRole("button", { name: "Buy now" }).click();
  await rival.getByRole("heading", { name: "It is yours" }).waitFor();
  await shoe(page, 1).locator("button[data-size='8'][aria-disabled=true]").waitFor();
  assert.equal(await focused(page), "Add size 8 sold out", "the focus is lost by what sold out");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await shoe(page, 1).locator("button[data-size='8']:disabled").waitFor();
  assert.equal(await focused(page), "Add size 9 almost gone");
  await shows(page, "cart-count", "1");
  await rival.close();
  says("the focus is seen, and stays where it is when a size sells out");

  // Two in the cart; the first is removed, and then the second.
  await page.keyboard.press("Enter");
  await shows(page, "cart-count", "2");
  await tabTo(page, /^Cart 2/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.waitForSelector("h1:text('Cart')");
  await page.waitForSelector("body[data-cart=ready]");
  await tabTo(page, /^Remove Harbor Low, tide blue/);
  await page.keyboard.press("Enter");
  await shows(page, "cart-count", "1");
  await page.waitForFunction(() => document.querySelectorAll(".line").length === 1);
  assert.match(await focused(page), /^Remove Harbor Low, ember/, "the focus is lost by what was removed");
  await tabTo(page, /^Check out$/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("h1:text('Checkout')");
  await page.waitForSelector("body[data-cart=ready]");
  await tabTo(page, /^Buy now$/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("h1:text('It is yours')");
  await page.locator(".line", { hasText: "ember, size 9" }).waitFor();
  await tabTo(page, /^Back to the releases$/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("h1:text('Releases')");
  await page.waitForSelector("body[data-cart=ready]");
  await tabTo(page, /^Add size 9/);
  await page.keyboard.press("Enter");
  await shows(page, "cart-count", "1");
  await tabTo(page, /^Cart 1/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.waitForSelector("body[data-cart=ready]");
  await tabTo(page, /^Remove/);
  await page.keyboard.press("Enter");
  await page.getByText("Your cart is empty").waitFor();
  assert.equal(await focused(page), "See the releases", "the focus is lost with the last item");
  await page.context().close();
  says("with the keyboard alone a shoe is found, added, removed and bought");
}
