// What the acceptance tests share: people with browsers of their own, and a list of what
// must not happen at any moment in any of their pages.
import { chromium } from "playwright-core";

export const says = (text) => console.log("ok: " + text);

// A POLICY allows nothing but the shop itself.
const POLICY = /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'[^;*]*; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$/;

export class Street {
  faults = [];
  restarting = false; // connections may fail meanwhile
  policies = 0; // documents whose policy was read

  static async open(base) {
    const street = new Street();
    street.origin = new URL(base).origin;
    street.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
    return street;
  }

  close() {
    return this.browser.close();
  }

  // person is a browser of its own: cookies, and what goes wrong in it.
  async person(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
    context.setDefaultTimeout(Number(process.env.PAGE_TIMEOUT_MS || 30_000));
    const scripts = options.javaScriptEnabled !== false;
    const { host } = new URL(this.origin);
    // Whatever is asked of another host fails, and is a fault; so is what is not of this scheme.
    await context.route((url) => url.host !== host || url.protocol !== "http:", (route) => {
      this.faults.push("a request to elsewhere: " + route.request().url());
      return route.abort();
    });
    context.on("page", (page) => page.on("websocket", (w) => {
      if (new URL(w.url()).host !== host) this.faults.push("a WebSocket to another host: " + w.url());
    }));
    context.on("response", (response) => {
      if (!response.request().isNavigationRequest()) return;
      const { status, headers } = { status: response.status(), headers: response.headers() };
      if (status >= 300 && status < 400) return;
      this.policies++;
      if (status !== 401 && !POLICY.test(headers["content-security-policy"] ?? "")) this.faults.push(response.url() + " has the policy " + headers["content-security-policy"]);
    });
    context.on("weberror", (e) => this.faults.push("an uncaught error: " + e.error().message));
    context.on("console", (m) => {
      if (m.type() !== "error" && m.type() !== "warning") return;
      // Pages of refusals have such a status; what belongs to a page has not.
      if (this.restarting || (/status of (409|404)/.test(m.text()) && /\/(checkout|nowhere)$/.test(m.location().url))) return;
      this.faults.push(m.type() + " on the console of " + m.page()?.url() + ": " + m.text());
    });
    if (scripts) {
      await context.exposeBinding("violated", (_, text) => void this.faults.push("a violation of the policy: " + text));
      await context.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (e) => window.violated(e.violatedDirective + " " + e.blockedURI));
      });
    }
    return context;
  }

  // visit opens a page in a tab of its own, and waits until it is live.
  async visit(context, path = "/") {
    const page = await context.newPage();
    await page.goto(this.origin + path);
    await live(page);
    return page;
  }
}

export const live = (page) => page.waitForSelector("body[data-live=yes][data-cart=ready], body.admin[data-live=yes]");

export const shoe = (page, n) => page.locator(".shoe").nth(n);
export const size = (page, n, label) => shoe(page, n).locator(`button[data-size="${label}"]`);

// shows waits until an element has a text.
export const shows = (page, id, text) => page.waitForFunction(([i, t]) => document.getElementById(i).textContent === t, [id, text]);

// tabTo presses Tab until the control with that name has the focus, as who uses no mouse
// does. The focus must be seen.
export async function tabTo(page, name, key = "Tab") {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press(key);
    const at = await page.evaluate(() => {
      const e = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(e), box = e.getBoundingClientRect();
      const bar = document.querySelector(".bar").getBoundingClientRect();
      return {
        name: (e.getAttribute("aria-label") ?? e.textContent).replace(/\s+/g, " ").trim(),
        body: e === document.body,
        seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
        covered: !e.closest(".bar") && !e.matches(".skip") && box.top < bar.bottom - 1,
      };
    });
    if (at.body) continue; // once around
    if (!at.seen) throw new Error("the focus on “" + at.name + "” cannot be seen");
    if (at.covered) throw new Error("“" + at.name + "” has the focus below the bar");
    if (name.test(at.name)) return at.name;
  }
  throw new Error("no control that " + name + " names is reached with " + key);
}
