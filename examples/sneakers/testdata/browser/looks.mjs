// What all pages must be: named, readable, wide enough for a finger, and still if wanted.
import assert from "node:assert/strict";
import { fits, named, readable, still } from "./access.mjs";
import { live, says } from "./kit.mjs";

export async function looks(street, { ann, shopping, second, admin }) {
  const single = await street.visit(ann, "/products/2"), missing = await ann.newPage();
  await missing.goto(street.origin + "/nowhere");
  await live(missing);
  const checkout = await street.visit(ann, "/checkout");
  const pages = { shop: shopping, shoe: single, cart: second, checkout, missing, admin };
  for (const [name, page] of Object.entries(pages)) {
    const names = await named(page);
    assert.ok(names.link.length >= 1, name);
    assert.equal(await page.locator("h1").count(), 1, name + " has no heading, or two");
    if (page !== admin) assert.equal(await page.locator("[role=status][aria-live=polite]").count(), 2, name + " cannot read out news");
    await readable(page);
    await fits(page);
    await still(page);
    if (!process.env.SCREENSHOTS) continue;
    for (const [kind, width] of [["desktop", 1280], ["phone", 390]]) {
      await page.setViewportSize({ width, height: 844 });
      await page.screenshot({ path: process.env.SCREENSHOTS + "/" + name + "-" + kind + ".png", fullPage: true });
    }
  }
  const buttons = (await named(admin)).button;
  assert.equal(new Set(buttons).size, buttons.length, "the admin has two buttons of one name");
  await Promise.all([single.close(), missing.close(), checkout.close()]);
  says("all controls of " + Object.keys(pages).length + " pages have names; texts can be read in the light and in the dark");
  says("nothing sticks out from 320 to 1280 px, all can be hit with a finger, and nothing moves if no motion is wanted");
}
