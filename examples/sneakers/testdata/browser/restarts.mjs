// The server restarts under open pages.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { live, says, shows, size } from "./kit.mjs";

export async function restarts(street, { shopping, second, admin }, command) {
  const restart = (env = {}) => execFileSync("/bin/sh", ["-c", command], { env: { ...process.env, ...env } });
  street.restarting = true; // until the end: connections fail, which is on the console
  await size(shopping, 1, "7").focus();
  await size(shopping, 1, "7").evaluate((button) => (button.dataset.old = "yes"));
  const sold = await admin.locator("#sold").textContent();
  restart();
  // The sizes are those of the server that has come: rendered anew, with the focus where it was.
  await shopping.waitForSelector("button[data-size='7']:not([data-old]):focus");
  await live(shopping);
  await second.locator(".line", { hasText: "size 10" }).waitFor();
  await Promise.all([live(second), live(admin)]);
  await shows(admin, "sold", sold);
  await shows(admin, "shoppers", "1");
  await shopping.reload();
  await shows(shopping, "cart-count", "1");
  assert.ok(await shopping.locator("#offline").isHidden());
  says("after a restart the pages are live again, the cart is there, and the focus where it was");

  // With another secret no page of before is taken: a shopper's says so, and is not loaded in
  // a circle; the admin's asks for a new token, since the browser has its password.
  restart({ NEW_SECRET: "1" });
  await shopping.locator("#offline", { hasText: "too old to be live" }).waitFor();
  await shopping.getByRole("link", { name: "Load it again" }).click();
  await live(shopping);
  await shows(shopping, "cart-count", "0");
  await live(admin);
  says("a page whose token is no longer taken says so, and is live once it is loaded again");
}
