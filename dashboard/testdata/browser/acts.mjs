// What a reader does: the keyboard, the buttons, and a connection that is lost.
import assert from "node:assert/strict";
import { says } from "./browser.mjs";

const node = (page, name) => page.locator(`.node[data-name="${name}"]`);
const rateOf = (page, name) => page.evaluate((n) => Number(document.querySelector(`.node[data-name="${n}"] .rate b`).textContent.replace(/[^\d.]/g, "") || NaN), name);
const untilRate = (page, name, least, most) => page.until(([n, a, b]) => {
  const text = document.querySelector(`.node[data-name="${n}"] .rate b`).textContent;
  const value = Number(text.replace(",", "").replace("k", "e3"));
  return value >= a && value <= b;
}, [name, least, most]);

// keyboard opens and closes the drawer without a mouse.
export async function keyboard(page) {
  await node(page, "archive").focus();
  await page.keyboard.press("Enter");
  await page.until(() => document.activeElement.id === "detail-title" && document.activeElement.textContent === "archive");
  const text = await page.locator("#detail").innerText();
  for (const one of [/Batch/, /of 100 events/, /Workers/, /events a second/i, /from to-archive/]) assert.match(text, one);
  await page.keyboard.press("Escape");
  await page.until(() => document.activeElement.dataset.name === "archive" && document.getElementById("detail").hidden);
  says("the drawer of a stage opens and closes by the keyboard, and gives the focus back");
}

// control pauses, resumes, sets a rate and a number of workers, and asks before a drain.
export async function control(page) {
  await page.until(() => document.querySelector('.node[data-name="orders"] .rate b').textContent !== "0");
  const whole = page.locator("#part-0 > header .controls");
  await whole.getByRole("button", { name: "Pause" }).click();
  await page.until(() => document.querySelector("#part-0 .chip").textContent === "paused");
  await untilRate(page, "orders", 0, 0);
  await whole.getByRole("button", { name: "Resume" }).click();
  await untilRate(page, "orders", 100, 5000);
  says("pause brings the rate to 0, resume back: " + (await rateOf(page, "orders")));

  const drawer = page.locator("#detail");
  await node(page, "render").click();
  await drawer.getByLabel(/^Rate/).fill("100");
  await drawer.getByLabel(/^Rate/).press("Enter");
  await untilRate(page, "render", 50, 200); // in a short interval it is not exact
  await drawer.getByLabel(/^Rate/).fill("0");
  await drawer.getByRole("button", { name: "Set rate" }).click();
  await untilRate(page, "render", 300, 10_000);
  says("a rate is set while it runs");
  await drawer.getByLabel(/^Rate/).fill("-1");
  await drawer.getByRole("button", { name: "Set rate" }).click();
  await page.until(() => /^Not done: .*rate/i.test(document.querySelector("#detail .outcome").textContent));
  says("a refused rate is said");

  await drawer.getByLabel(/^Workers/).fill("12");
  await drawer.getByRole("button", { name: "Set workers" }).click();
  await page.until(() => document.querySelectorAll("#detail .workers .cells i:not([data-cell=stuck])").length === 12);
  await drawer.getByRole("button", { name: "Pause" }).click();
  await untilRate(page, "render", 0, 0);
  await page.until(() => document.querySelector('.node[data-name="render"][data-paused]'));
  await drawer.getByRole("button", { name: "Resume" }).click();
  await untilRate(page, "render", 100, 10_000);
  says("a step is resized, paused and resumed");

  await drawer.getByRole("button", { name: "Drain" }).click();
  const asks = page.locator("#confirm");
  await asks.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await asks.isVisible(), false);
  await page.keyboard.press("Escape");
  await untilRate(page, "render", 100, 10_000);
  says("a drain is asked about first");
}

// letters looks at the dead letters and plays one back.
export async function letters(page) {
  const panel = page.locator("#rooms .panel", { hasText: "Dead letters" });
  await panel.getByRole("button", { name: "Look at them" }).click();
  await page.until(() => document.querySelectorAll(".letters li").length > 3);
  assert.match(await panel.locator(".letters li").first().textContent(), /no field "price" in render, 2 attempts.*"user":"user-/);
  await panel.locator(".letters input").first().check();
  await panel.getByRole("button", { name: "Play back" }).click();
  await page.until(() => [...document.querySelectorAll(".panel [role=status]")].some((p) => p.textContent === "1 letter played back."));
  assert.ok(await panel.locator(".letters .chip").count() >= 1);
  await panel.getByRole("button", { name: "Close" }).click();
  says("dead letters are looked at, and one is played back");
}

// locked looks at a page without permission: no buttons, a note, and a refusal by the server.
export async function locked(page) {
  await page.until(() => document.getElementById("locked").checkVisibility());
  assert.equal(await page.locator(".controls:visible").count(), 0);
  await page.locator(".node").first().click();
  await page.until(() => document.getElementById("detail").checkVisibility());
  assert.equal(await page.locator(".controls:visible").count(), 0);
  const status = await page.evaluate(async () => (await fetch("control", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ part: "0", step: "", action: "pause" }) })).status);
  assert.equal(status, 403);
  await page.keyboard.press("Escape");
  says("without permission there are no buttons, and the server refuses");
}

// lost cuts the connection and heals it.
export async function lost(page, way) {
  way.cut();
  await page.until(() => document.documentElement.dataset.live === "lost");
  const before = await page.evaluate(() => [document.documentElement.dataset.drawn, getComputedStyle(document.querySelector("main")).opacity, document.getElementById("lost").textContent]);
  assert.match(before[2], /connection is lost.*not of now/);
  await page.until(() => getComputedStyle(document.querySelector("main")).opacity === "0.55");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.drawn), before[0], "an old state was drawn again");
  way.heal();
  await page.until((drawn) => document.documentElement.dataset.live === "live" && document.documentElement.dataset.drawn > drawn, before[0]);
  assert.equal(await page.locator("#lost").isVisible(), false);
  says("a lost connection is said, what is old is greyed out, and it comes back");
}

// crowd measures the work of an update with a thousand stages.
export async function crowd(page) {
  await page.until(() => [...document.querySelectorAll(".node[data-many]")].length === 3);
  // Time of the page's thread, which does not depend on what else the machine does.
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  const scripting = async () => (await cdp.send("Performance.getMetrics")).metrics.find((m) => m.name === "ScriptDuration").value * 1000;
  const begun = await scripting(), updates = 7;
  await page.evaluate((n) => new Promise((done) => new MutationObserver(() => --n || done()).observe(document.documentElement, { attributeFilter: ["data-drawn"] })), updates);
  const each = ((await scripting()) - begun) / updates;
  await cdp.detach();
  assert.ok(each > 0 && each < 50, `an update took ${each} ms of scripting`);
  await page.locator(".node[data-many]").first().click();
  await page.locator("#detail input[type=search]").fill("fetch-33");
  await page.until(() => document.querySelectorAll("#detail .member").length === 5); // 33, 330 to 333
  await page.locator("#detail .member").first().click();
  await page.until(() => document.getElementById("detail-title").textContent.startsWith("fetch-33"));
  await page.keyboard.press("Escape");
  says(`a thousand stages are three groups; an update takes ${each.toFixed(1)} ms of scripting`);
}
