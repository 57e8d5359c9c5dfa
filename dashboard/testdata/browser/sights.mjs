// What must be seen at a glance in the scene.
import assert from "node:assert/strict";
import { dark, dim, overflow, phone, says, open, shut } from "./browser.mjs";

// graph checks the nodes and the pipes.
export async function graph(page) {
  await page.until(() => document.querySelectorAll("#part-0 .run[data-flows=true]").length === 6);
  const seen = await page.evaluate(() => ({
    names: [...document.querySelectorAll("#part-0 .node")].map((n) => n.dataset.name).sort(),
    kinds: [...document.querySelectorAll("#part-0 .node")].map((n) => n.dataset.kind),
    boxes: [...document.querySelectorAll("#part-0 .node")].map((n) => n.getBoundingClientRect().toJSON()),
    pipes: [...document.querySelectorAll("#part-0 .hull")].map((p) => [p.getAttribute("d"), parseFloat(p.style.strokeWidth), Number(p.parentElement.dataset.rate)]),
    labels: [...document.querySelectorAll("#part-0 .node")].map((n) => n.getAttribute("aria-label")),
  }));
  assert.deepEqual(seen.names, ["archive", "book", "intake", "orders", "render", "send", "to-archive", "to-sockets"]);
  assert.equal(new Set(seen.kinds).size, 3);
  seen.boxes.forEach((a, i) => seen.boxes.slice(i + 1).forEach((b) => assert.ok(a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top, "nodes overlap")));
  for (const [d, width] of seen.pipes) assert.ok(/^M[\d.]+ [\d.]+C/.test(d) && width > 2 && width < 20, d);
  for (const [, wide, much] of seen.pipes) for (const [, thin, little] of seen.pipes) assert.ok(much < 1.5 * little || wide > thin, "the thickness of a pipe is its rate");
  for (const label of seen.labels) assert.match(label, /, (producer|producer-consumer|consumer), .* events a second/);
  await page.until(() => document.querySelector("#part-0 .spark .curve").getAttribute("d").length > 20);
  says("the graph has its nodes and pipes, with rates and curves");
}

// troubles checks that each trouble of the scene is marked by a shape as well as a colour,
// and said in words.
export async function troubles(page) {
  const bar = (state, name) => page.until(([s, n]) => document.querySelector(`.bar[data-state=${s}][aria-label^="${n}"]`), [state, name]);
  await bar("flood", "user-flood: ");
  await page.until(() => { // the flood towers over the others
    const tall = (state) => [...document.querySelectorAll(`[id*=-keys-] .bar${state} .column`)].map((c) => c.offsetHeight);
    const [flood, others] = [tall("[data-state=flood]"), tall(":not([data-state=flood])")];
    return flood.length === 1 && others.length > 3 && flood[0] > 3 * Math.max(...others);
  });
  assert.equal(await page.locator("[id*=-keys-] .bar[data-state=flood] .sign[data-sign=flood]").count(), 1);
  says("one user's flood is seen");

  await bar("still", "user-parked: ");
  const parked = page.locator('.bar[aria-label^="user-parked"]');
  assert.match(await parked.getAttribute("aria-label"), /held back for \d+ min/);
  assert.match(await parked.locator(".value").textContent(), /^\d+ min$/);
  assert.match(await parked.locator(".column").evaluate((c) => getComputedStyle(c).backgroundImage), /repeating-linear-gradient/);
  says("a key that is held back is hatched, with the time to go");

  await page.until(() => document.querySelector('.node[data-name="render"] [data-cell=stuck]'));
  const cell = page.locator('.node[data-name="render"] [data-cell=stuck]').first();
  assert.match(await cell.evaluate((c) => getComputedStyle(c).clipPath), /polygon/);
  assert.equal(await page.locator('.node[data-name="render"]').getAttribute("data-severity"), "bad");
  says("a stuck worker is a red cross");

  await bar("still", "Partition 7 of orders");
  await bar("stopped", "Partition 10 of orders");
  await bar("growing", "Partition 3 of orders");
  assert.equal(await page.locator("[id*=-partitions-] .bar[data-state=growing]").count(), 1, "only one lag grows");
  assert.equal(await page.locator("[id*=-partitions-] .bar[data-state=growing] .sign[data-sign=growing]").count(), 1);
  assert.equal(await page.locator("[id*=-partitions-] .bar[data-state=still] .sign[data-sign=paused]").count(), 1);
  says("growing lag has an arrow, a paused and a stopped partition are hatched");

  await page.until(() => document.querySelectorAll("[id*=-discards-] .legend li").length === 2 && document.querySelector(".stack .series1"));
  says("discards are stacked by reason");

  const unknown = await page.locator("#rooms .panel", { hasText: "weather: outside" }).innerText();
  assert.match(unknown, /degrees\s+21[^]*rain\s+no[^]*wind\s+from the west/);
  says("a kind that the page does not know is a table");

  assert.equal(await page.locator(".dot").count(), 3);
  assert.equal(await page.locator(".dot.missing").count(), 1);
  const more = page.locator("#attention > button");
  if (await more.isVisible()) await more.click();
  const words = await page.locator("#attention li").allTextContents();
  for (const one of [/stuck/, /user-flood floods/, /user-parked is held back/, /Partition 3 .* grows/, /Partition 7 .* paused/, /Partition 10 .* stopped/, /node-c is missing/, /fail for good/]) {
    assert.ok(words.some((w) => one.test(w)), `${one} in ${words}`);
  }
  await page.locator("#attention li button", { hasText: "floods" }).click();
  await page.until(() => document.activeElement.id.includes("-keys-"));
  says("what needs attention is said in words that lead to the place");
}

// looks checks phone and dark pages.
export async function looks(browser, url, picture) {
  const page = await open(browser, url, phone);
  await page.until(() => document.querySelectorAll("#part-0 .run[data-flows=true]").length === 6);
  await page.until(() => document.querySelector("[data-state=growing]"));
  assert.equal(await overflow(page), 0, "the phone's page is too wide");
  const small = await page.evaluate(() => [...document.querySelectorAll("button, main input, a[href]:not(.skip)")].filter((b) => b.checkVisibility() && b.closest(".field") === null).map((b) => [b.textContent.slice(0, 30), b.getBoundingClientRect().height]).filter((b) => b[1] < 44));
  assert.deepEqual(small, [], "too small for a finger");
  assert.deepEqual(await dim(page), [], "contrast of the light page");
  await picture(page, "phone");
  await page.locator('.node[data-name="render"]').tap();
  await page.until(() => document.getElementById("detail").checkVisibility());
  assert.equal(await overflow(page), 0, "the phone's drawer is too wide");
  await picture(page, "phone-drawer");
  await shut(page);
  const night = await open(browser, url, dark);
  await night.until(() => document.querySelector("[data-state=growing]") && document.querySelector("[data-state=flood]"));
  assert.notEqual(await night.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(238, 243, 245)");
  await night.locator('.node[data-name="render"]').click();
  assert.deepEqual(await dim(night), [], "contrast of the dark page");
  await night.keyboard.press("Escape");
  await picture(night, "dark");
  await night.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(await night.locator(".flow").first().evaluate((f) => getComputedStyle(f).animationName), "none");
  await shut(night);
  says("it is for a phone, for the dark and for those who want no motion");
}
