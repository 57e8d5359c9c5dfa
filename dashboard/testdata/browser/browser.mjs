// Opens pages in Chromium, and notes what must not happen at any moment.
import { chromium } from "playwright-core";

// patience is how long any one step may take, in milliseconds.
export const patience = Number(process.env.PAGE_TIMEOUT_MS || 20_000);
export const faults = [];
const begun = Date.now();
export const says = (text) => console.log(`ok: ${text} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);

// launch starts the browser.
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

export const desktop = { viewport: { width: 1280, height: 900 }, colorScheme: "light" };
export const dark = { ...desktop, colorScheme: "dark" };
export const phone = { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true };

// open opens an address and waits for the first state. expected are texts of errors that
// the test brings about itself.
export async function open(browser, url, look, expected = []) {
  const context = await browser.newContext(look);
  context.setDefaultTimeout(patience);
  context.on("request", (r) => {
    const { protocol, host } = new URL(r.url());
    if (protocol !== "data:" && host !== new URL(url).host) faults.push("a request to another host: " + r.url());
  });
  context.on("weberror", (e) => faults.push("an uncaught error: " + e.error().message));
  context.on("console", (m) => {
    if (["error", "warning"].includes(m.type()) && !expected.some((e) => m.text().includes(e))) faults.push(`${m.type()} on the console: ${m.text()}`);
  });
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI));
  });
  const page = await context.newPage();
  page.until = (condition, arg, timeout = patience) => page.waitForFunction(condition, arg, { timeout, polling: 50 });
  page.answer = await page.goto(url);
  await page.until(() => document.documentElement.dataset.live === "live" && document.querySelector(".node"));
  return page;
}

// shut closes a page, and notes what the policy has refused.
export async function shut(page) {
  for (const v of await page.evaluate(() => window.violations)) faults.push("the content security policy refused " + v);
  await page.context().close();
}

// overflow is how much wider than the screen the page is, in pixels.
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// dim are the texts whose contrast with their ground is less than 4.5.
export function dim(page) {
  return page.evaluate(() => {
    const parse = (c) => (c.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const light = ([r, g, b]) => {
      const f = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
    };
    const ground = (el) => {
      for (let at = el; at; at = at.parentElement) {
        const c = parse(getComputedStyle(at).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c;
      }
      return [255, 255, 255];
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const el = walk.currentNode.parentElement;
      if (!walk.currentNode.textContent.trim() || !el.checkVisibility() || ["title", "NOSCRIPT", "SCRIPT"].includes(el.tagName)) continue;
      const style = getComputedStyle(el);
      const [a, b] = [light(parse(el.closest("svg") ? style.fill : style.color)), light(ground(el.closest("svg")?.parentElement ?? el))].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      if (contrast < 4.5) found.push(`${walk.currentNode.textContent.trim()} (${contrast.toFixed(1)})`);
    }
    return found;
  });
}
