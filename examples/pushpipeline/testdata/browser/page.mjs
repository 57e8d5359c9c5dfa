// Opens the live page of a running pushpipeline in Chromium and uses it as a
// reader would.
//
//   node page.mjs BASE_URL [SCREENSHOT]
//
// Environment: CHROMIUM is the browser's path (default /usr/bin/chromium),
// PAGE_TIMEOUT_MS how long any one step may take (default 30000).
// Exit code: 0 if everything held, 1 if something did not, 2 for wrong usage.
//
// The program must run with its load generator: a heavy user with 20 pushes a
// second or more, and at least one other user.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [base, screenshot] = process.argv.slice(2);
if (!base || !URL.canParse(base)) {
  console.error("usage: node page.mjs BASE_URL [SCREENSHOT]");
  process.exit(2);
}
const origin = new URL(base).origin;
const step = Number(process.env.PAGE_TIMEOUT_MS || 30_000);
const faults = []; // what must not happen at any moment

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let page;

const says = (text) => console.log("ok: " + text);
const until = (condition, arg, timeout = step) => page.waitForFunction(condition, arg, { timeout, polling: 100 });
const text = (id) => page.locator("#" + id).textContent();
const figure = async (id) => Number((await text(id)).replace(/[^0-9.]/g, "") || NaN);

async function opens() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1, colorScheme: "light" });
  context.setDefaultTimeout(step);
  context.on("request", (r) => {
    const { protocol, host } = new URL(r.url());
    if (protocol !== "data:" && host !== new URL(origin).host) faults.push("a request to another host: " + r.url());
  });
  context.on("weberror", (e) => faults.push("an uncaught error: " + e.error().message));
  context.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") faults.push(m.type() + " on the console: " + m.text());
  });
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI));
  });
  page = await context.newPage();
  page.on("websocket", (w) => {
    if (new URL(w.url()).host !== new URL(origin).host) faults.push("a WebSocket to another host: " + w.url());
  });
  const answer = await page.goto(origin + "/");
  assert.equal(answer.status(), 200);
  assert.match(answer.headers()["content-security-policy"] ?? "", /default-src 'none'/, "the page has no strict content security policy");
  await until(() => document.getElementById("health").textContent === "running");
  says("the page shows a running program");
}

async function pushesArrive() {
  await page.locator("#quick button", { hasText: "heavy" }).click();
  await until(() => document.getElementById("socket-pill").textContent === "connected");
  await until(() => document.querySelectorAll("#pushes tr").length >= 20);
  const list = await page.evaluate(() => ({
    rows: document.querySelectorAll("#pushes tr").length,
    seqs: [...document.querySelectorAll("#pushes tr td:nth-child(2)")].map((td) => Number(td.textContent)),
    latencies: [...document.querySelectorAll("#pushes tr td:nth-child(3)")].map((td) => td.textContent),
  }));
  assert.ok(list.rows <= 50, "the list is not bounded: " + list.rows + " rows");
  assert.ok(list.seqs[0] > list.seqs.at(-1), "the newest push is not first");
  assert.ok(list.latencies.every((l) => /^[<0-9].* (ms|s)$/.test(l)), "a latency is missing: " + list.latencies);
  for (const id of ["s-missed", "s-late", "s-repeated"]) assert.equal(await text(id), "0", id);
  says("pushes of the heavy user arrive, newest first, none missing, late or repeated");
}

async function chartHasData() {
  await until(() => [...document.querySelectorAll("#legend b")].every((b) => /[0-9]/.test(b.textContent)));
  await until(() => {
    const canvas = document.getElementById("chart");
    // A copy is read: reading the page's own canvas again and again makes Chromium warn.
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const g = copy.getContext("2d", { willReadFrequently: true });
    g.drawImage(canvas, 0, 0);
    const { data } = g.getImageData(0, 0, canvas.width, canvas.height);
    let orange = 0, blue = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 200) continue;
      if (data[i] > data[i + 2] + 100) orange++;
      if (data[i + 2] > data[i] + 100) blue++;
    }
    return orange > 20 && blue > 20;
  });
  assert.ok((await page.locator("#queues figure").count()) >= 3, "queues are missing");
  assert.ok((await page.locator("#stages tr").count()) >= 2, "stages are missing");
  await until(() => /^[1-9]/.test(document.getElementById("t-in").textContent) && /^[1-9]/.test(document.getElementById("t-out").textContent));
  for (const id of ["t-queued", "t-flight", "t-connections", "t-channels", "t-slow", "l-enqueued", "l-sum", "l-diff"]) assert.match(await text(id), /\d/, id + " shows no figure");
  says("the chart has a line for both groups; queues, stages and sums have figures");
}

async function readsSlowly() {
  const toggle = page.getByRole("switch", { name: "Read slowly" });
  await toggle.focus();
  await page.keyboard.press("Space");
  await until(() => !document.getElementById("slow-now").hidden);
  // One push each half second; a second's slack for what was under way.
  await until(() => {
    const n = Number(document.getElementById("s-received").textContent.replaceAll(",", ""));
    const now = performance.now();
    window.slowly ??= { n, now };
    if (now - window.slowly.now < 3000) return false;
    const perSecond = ((n - window.slowly.n) * 1000) / (now - window.slowly.now);
    if (perSecond <= 3 && n > window.slowly.n) return true;
    window.slowly = { n, now };
    return false;
  });
  says("in slow mode this tab takes about two pushes a second");
  const before = await figure("s-received");
  await page.keyboard.press("Space");
  await until(() => document.getElementById("slow-now").hidden);
  // At full speed again, on the same socket or on a new one that counts anew.
  await until(() => {
    const n = Number(document.getElementById("s-received").textContent.replaceAll(",", ""));
    return document.getElementById("socket-pill").textContent === "connected" && /^\d{2,}|^\d,/.test(document.getElementById("s-rate").textContent) && n > 20;
  });
  says("switched back, it reads at full speed again (it had taken " + before + ")");
}

async function sends() {
  const light = page.locator("#quick button").nth(1);
  const user = await light.getAttribute("data-user");
  await light.click();
  await until((u) => document.getElementById("user-shown").textContent === u && document.getElementById("socket-pill").textContent === "connected", user);
  const data = JSON.stringify({ from: "page test", n: Date.now() });
  await page.getByLabel("To user").fill(user);
  await page.getByLabel("Data, a JSON object").fill(data);
  await page.getByRole("button", { name: "Send" }).click();
  await until(() => document.getElementById("answer").textContent !== "");
  assert.match(await text("answer"), /^202 Accepted: 1 push /);
  await until((d) => [...document.querySelectorAll("#pushes tr.own td.data")].some((td) => td.lastChild.textContent === d), data);
  says("a push to user " + user + " was accepted and arrived");

  await page.getByLabel("Data, a JSON object").fill("{");
  await page.getByRole("button", { name: "Send" }).click();
  await until(() => document.getElementById("answer").textContent.startsWith("Not sent."));
  says("data that is not JSON is not sent");
}

async function fits() {
  for (const width of [360, 390, 768, 1280, 1800]) {
    await page.setViewportSize({ width, height: 900 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, "at " + width + " px the page is " + over + " px too wide");
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  says("nothing sticks out from 360 to 1800 px");
}

function nothingWrong(violations) {
  for (const v of violations) faults.push("a violation of the content security policy: " + v);
  assert.deepEqual(faults, []);
  says("no console error, no policy violation, no request to another host");
}

try {
  await opens();
  await pushesArrive();
  await chartHasData();
  await readsSlowly();
  await sends();
  await fits();
  nothingWrong(await page.evaluate(() => window.violations));
} catch (err) {
  console.error("FAILED: " + err.message);
  for (const fault of faults) console.error("  " + fault);
  process.exitCode = 1;
} finally {
  if (screenshot && page) await page.screenshot({ path: screenshot, fullPage: true }).catch((err) => {
    console.error("no screenshot: " + err.message);
    process.exitCode = 1;
  });
  await browser.close();
}
