// Browsers without scripts, and an address with a password in it.
import assert from "node:assert/strict";
import { says, shows, size } from "./kit.mjs";

export async function plain(street, password, { admin }) {
  const sold = Number(await admin.locator("#sold").textContent());
  const page = await (await street.person({ javaScriptEnabled: false })).newPage();
  await page.goto(street.origin + "/");
  await page.locator(".shoe h2 a").nth(1).click();
  await page.locator("button[data-size='11']").click();
  await page.locator(".line", { hasText: "ember, size 11" }).waitFor();
  await page.getByRole("link", { name: "Sneakers" }).click();
  await size(page, 0, "10").click();
  await page.locator(".line", { hasText: "tide blue, size 10" }).getByRole("button", { name: "Remove" }).click();
  await page.getByRole("link", { name: "Check out" }).click();
  await page.getByRole("button", { name: "Buy now" }).dblclick();
  await page.getByRole("heading", { name: "It is yours" }).waitFor();
  await page.locator(".line", { hasText: "ember, size 11" }).waitFor();
  await shows(admin, "sold", String(sold + 1));
  // The same form once more, from the page before: the order that it has made.
  const first = page.url();
  await page.goto(street.origin + "/cart");
  await page.getByText("Your cart is empty").waitFor();
  says("without a script a shoe is found, added, removed and bought, and a double click buys once: " + new URL(first).search);
  await page.context().close();

  // The password is in the address: no script, and then with it.
  const address = street.origin.replace("//", "//admin:" + encodeURIComponent(password) + "@") + "/admin";
  const still = await (await street.person({ javaScriptEnabled: false })).newPage();
  await still.goto(address);
  for (const id of ["shoppers", "tabs", "in-carts", "sold", "left", "refused", "alerts"]) {
    assert.match(await still.locator("#" + id).textContent(), /^\d+$/, id + " is not a figure without a script");
  }
  assert.equal(await still.locator("#sold").textContent(), String(sold + 1));
  const moving = await (await street.person()).newPage();
  await moving.goto(address);
  assert.match(await moving.locator("#shoppers").textContent(), /^\d+$/, "the page begins without a figure");
  await moving.waitForSelector("body.admin[data-live=yes]");
  await Promise.all([still.context().close(), moving.context().close()]);
  says("the admin's page has its figures before a script runs, and is live with the password in its address");
}
