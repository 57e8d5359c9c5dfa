// Shops in a running shop with Chromium: one tab buys while others watch.
//
//   node shop.mjs BASE_URL ADMIN_PASSWORD [RESTART_COMMAND]
//
// The shop must have been started with -stock 1 and -released 1. RESTART_COMMAND
// restarts it at the same address, with its database and its secret.
// Environment: CHROMIUM is the browser's path (default /usr/bin/chromium),
// PAGE_TIMEOUT_MS how long any one step may take (default 30000).
// Exit code: 0 if everything held, 1 if something did not, 2 for wrong usage.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const [base, password, restart] = process.argv.slice(2);
if (!base || !URL.canParse(base) || !password) {
  console.error("usage: node shop.mjs BASE_URL ADMIN_PASSWORD [RESTART_COMMAND]");
  process.exit(2);
}
const origin = new URL(base).origin;
const faults = []; // what must not happen at any moment
const says = (text) => console.log("ok: " + text);
let restarting = false;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// person is a browser of its own: cookies, and what goes wrong in it.
async function person(options = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 800 }, ...options });
  context.setDefaultTimeout(Number(process.env.PAGE_TIMEOUT_MS || 30_000));
  context.on("request", (r) => {
    if (new URL(r.url()).host !== new URL(origin).host) faults.push("a request to another host: " + r.url());
  });
  context.on("weberror", (e) => faults.push("an uncaught error: " + e.error().message));
  context.on("console", (m) => {
    if (m.type() === "error" && !restarting && !/status of (409|404)/.test(m.text())) faults.push("on the console: " + m.text());
  });
  return context;
}

async function open(context, path = "/") {
  const page = await context.newPage();
  await page.goto(origin + path);
  if (context.options?.javaScriptEnabled !== false) await page.waitForSelector("body[data-live=yes][data-cart=ready], body.admin[data-live=yes]");
  return page;
}

const shoe = (page, n) => page.locator(".shoe").nth(n);
const size = (page, n, label) => shoe(page, n).locator(`button[data-size="${label}"]`);

try {
  const [ann, bob, boss] = [await person(), await person(), await person({ viewport: { width: 1280, height: 900 }, httpCredentials: { username: "admin", password } })];
  const shopping = await open(ann), second = await open(ann, "/cart"), watching = await open(bob), admin = await open(boss, "/admin");
  await admin.waitForFunction(() => document.getElementById("shoppers").textContent === "2" && document.getElementById("tabs").textContent === "3");
  says("the admin sees two shoppers with three pages");

  await size(shopping, 0, "7").click();
  await shopping.waitForFunction(() => document.getElementById("cart-count").textContent === "1");
  await second.locator(".line", { hasText: "size 7" }).waitFor();
  await admin.waitForFunction(() => document.getElementById("in-carts").textContent === "1");
  says("a size in the cart is in the other tab's cart, and the admin sees it");

  await size(shopping, 0, "8").click();
  await shopping.locator("#news", { hasText: "One size" }).waitFor();
  says("a second size of a shoe is refused");

  await admin.locator("article[data-product-id='2'] .release button").click();
  await size(watching, 1, "9").waitFor();
  await watching.locator("#news", { hasText: "is released" }).waitFor();
  says("a release shows the sizes on a page that was open");

  // Bob buys, with the keyboard, what is in Ann's cart.
  await size(watching, 0, "7").focus();
  await watching.keyboard.press("Enter");
  await watching.waitForFunction(() => document.getElementById("cart-count").textContent === "1");
  const checkout = await open(bob, "/checkout");
  await checkout.getByRole("button", { name: "Buy now" }).click();
  await checkout.getByRole("heading", { name: "It is yours" }).waitFor();
  await second.locator(".line.out", { hasText: "Sold out" }).waitFor();
  await shopping.locator("button[data-size='7'].level-out:disabled").first().waitFor();
  await admin.waitForFunction(() => document.getElementById("sold").textContent === "1");
  says("what another shopper buys is sold out in the cart, on the page and for the admin");

  await second.locator(".line", { hasText: "size 7" }).getByRole("button", { name: "Remove" }).click();
  await shopping.waitForFunction(() => document.getElementById("cart-count").textContent === "0");
  await size(shopping, 1, "10").click();
  await second.locator(".line", { hasText: "size 10" }).waitFor();

  if (restart) {
    restarting = true;
    execFileSync("/bin/sh", ["-c", restart]);
    await shopping.waitForSelector("body[data-live=yes]");
    await size(shopping, 0, "11").waitFor();
    await second.locator(".line", { hasText: "size 10" }).waitFor();
    await shopping.reload();
    await shopping.waitForFunction(() => document.getElementById("cart-count").textContent === "1");
    restarting = false;
    says("after a restart the pages are live again, and the cart is there");
  }

  const plain = await (await person({ javaScriptEnabled: false })).newPage();
  await plain.goto(origin + "/");
  await size(plain, 1, "11").click();
  await plain.getByRole("link", { name: "Check out" }).click();
  await plain.getByRole("button", { name: "Buy now" }).click();
  await plain.getByRole("heading", { name: "It is yours" }).waitFor();
  says("without a script the shop sells too");

  for (const width of [320, 390, 768, 1280]) {
    for (const page of [shopping, second, admin]) {
      await page.setViewportSize({ width, height: 800 });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(over <= 0, page.url() + " at " + width + " px is " + over + " px too wide");
    }
  }
  const small = await shopping.evaluate(() => [...document.querySelectorAll(".size-container__entry")].filter((b) => b.getBoundingClientRect().height < 44).length);
  assert.equal(small, 0, "buttons are too small for a finger");
  says("nothing sticks out from 320 to 1280 px, and sizes can be hit with a finger");
  if (process.env.SCREENSHOTS) {
    await shopping.screenshot({ path: process.env.SCREENSHOTS + "/shop.png" });
    await admin.screenshot({ path: process.env.SCREENSHOTS + "/admin.png" });
  }
  assert.deepEqual(faults, []);
  says("no error on the console, no request to another host");
} catch (err) {
  console.error("FAILED: " + err.message);
  for (const fault of faults) console.error("  " + fault);
  process.exitCode = 1;
} finally {
  await browser.close();
}
