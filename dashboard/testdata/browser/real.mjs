// Looks at the dashboard of a pushpipeline with Kafka in a cluster of three, and controls it.
//
//   node real.mjs URL PID [FOLDER]
//
// PID is the process of the node c, which is ended. Pictures are stored in FOLDER.
import assert from "node:assert/strict";
import { join } from "node:path";
import { dark, desktop, dim, faults, launch, open, overflow, phone, says, shut } from "./browser.mjs";

const [url, other, folder] = process.argv.slice(2);
if (!URL.canParse(url) || !(other > 0)) {
  console.error("usage: node real.mjs URL PID [FOLDER]");
  process.exit(2);
}
const browser = await launch();
try {
  const page = await open(browser, url, desktop);
  const picture = (p, name) => folder && p.screenshot({ path: join(folder, name + ".png"), fullPage: true });
  const node = (name) => page.locator(`.node[data-name="${name}"]`);
  const flows = () => page.until(() => Number(document.querySelector('.node[data-name="sockets"] .rate b').textContent.replace(/[^\d.]/g, "")) > 50);

  await page.until(() => document.querySelectorAll("[id*=-partitions-] .bar").length === 4);
  await page.until(() => document.querySelectorAll(".dot").length === 3 && !document.querySelector(".dot.missing"));
  await page.until(() => Number([...document.querySelectorAll(".tiles div")].find((d) => d.firstChild.textContent === "connections")?.lastChild.firstChild.textContent) >= 20);
  await flows();
  says("a real cluster shows its partitions, sockets and nodes");

  const drawer = page.locator("#detail");
  await node("sockets").click();
  assert.equal(await drawer.getByRole("button").filter({ hasText: /Drain|Restart/ }).count(), 0, "a button that the program does not offer");
  await drawer.getByRole("button", { name: "Pause" }).click();
  await page.until(() => document.querySelector('.node[data-name="sockets"][data-paused]') && document.querySelector('.node[data-name="sockets"] .rate b').textContent === "0");
  await page.until(() => /the oldest waits \d/.test(document.querySelector("[id*=-keys-] .words").textContent));
  await picture(page, "real-paused");
  await drawer.getByRole("button", { name: "Resume" }).click();
  await flows();
  const workers = drawer.getByLabel("number of workers");
  assert.equal(await workers.inputValue(), "64", "the number of workers that it was started with");
  const figure = (value) => page.until((v) => [...document.querySelectorAll("#detail .figures div")].some((d) => d.textContent === "workers" + v), value);
  await figure("64");
  await workers.fill("128");
  await drawer.getByRole("button", { name: "Set workers" }).click();
  await page.until(() => /^Done: resize 128/.test(document.querySelector("#detail .outcome").textContent));
  await figure("128");
  await page.until(() => /asked for of at most 128/.test(document.querySelector("#detail .links").textContent));
  await flows();
  await page.keyboard.press("Escape");
  says("pushpipeline is paused and resumed, and its workers are resized; the age of the oldest push is said");

  await node("kafka").click();
  await drawer.getByLabel("pushes a second of each user").fill("1");
  await drawer.getByLabel("pushes a second of each user").press("Enter");
  await page.until(() => /^Done: rate 1/.test(document.querySelector("#detail .outcome").textContent));
  await page.until(() => { const r = Number(document.querySelector('.node[data-name="sockets"] .rate b').textContent.replace(/[^\d.]/g, "")); return r > 5 && r < 60; });
  await drawer.getByLabel("pushes a second of each user").fill("0");
  await drawer.getByRole("button", { name: "Set rate" }).click();
  await page.keyboard.press("Escape");
  says("a rate for each user holds pushes back");

  for (const [name, look] of [["real-phone", phone], ["real-dark", dark]]) {
    const p = await open(browser, url, look);
    await p.until(() => document.querySelectorAll(".dot").length === 3 && document.querySelectorAll("[id*=-partitions-] .bar").length === 4);
    assert.equal(await overflow(p), 0, `${name} is too wide`);
    assert.deepEqual(await dim(p), [], `contrast of ${name}`);
    await picture(p, name);
    await shut(p);
  }
  process.kill(Number(other));
  await page.until(() => document.querySelectorAll(".dot.missing").length === 1 && [...document.querySelectorAll("#attention li")].some((li) => /node c is missing/.test(li.textContent)));
  await picture(page, "real");
  await shut(page);
  assert.deepEqual(faults, []);
  says("a node that has ended is missing");
} catch (err) {
  console.error(err);
  if (faults.length) console.error("besides:", faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
