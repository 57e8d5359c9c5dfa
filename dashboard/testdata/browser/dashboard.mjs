// Looks at the dashboard of the scene in Chromium as a reader would.
//
//   node dashboard.mjs SCENE_URL LOOKING_ONLY_URL [FOLDER]
//
// Pictures are stored in FOLDER. Environment: CHROMIUM is the browser's path (default
// /usr/bin/chromium), PAGE_TIMEOUT_MS how long any one step may take (default 20000).
// Exit code: 0 if everything held, 1 if something did not, 2 for wrong usage.
import assert from "node:assert/strict";
import { join } from "node:path";
import { desktop, faults, launch, open, shut } from "./browser.mjs";
import { graph, looks, troubles } from "./sights.mjs";
import { control, crowd, keyboard, letters, locked, lost } from "./acts.mjs";
import { proxy } from "./proxy.mjs";

const [scene, looking, folder] = process.argv.slice(2);
if (!URL.canParse(scene) || !URL.canParse(looking)) {
  console.error("usage: node dashboard.mjs SCENE_URL LOOKING_ONLY_URL [FOLDER]");
  process.exit(2);
}
const picture = (page, name) => folder && page.screenshot({ path: join(folder, name + ".png"), fullPage: name !== "phone-drawer" });
const begun = Date.now();
const browser = await launch();
try {
  const page = await open(browser, scene, desktop, ["400 (Bad Request)"]);
  assert.match(page.answer.headers()["content-security-policy"] ?? "", /default-src 'none'.*script-src 'self'/);
  await Promise.all([
    (async () => {
      await graph(page);
      await troubles(page);
      await picture(page, "desktop");
      await keyboard(page);
    })(),
    looks(browser, scene, picture),
    (async () => {
      const only = await open(browser, looking, desktop, ["403 (Forbidden)"]);
      await locked(only);
      await shut(only);
    })(),
  ]);
  await letters(page);
  await crowd(page);
  await control(page);
  await shut(page);
  const way = await proxy(scene);
  const cut = await open(browser, way.url, desktop, ["net::ERR_"]);
  await lost(cut, way);
  await shut(cut);
  way.close();
  assert.deepEqual(faults, []);
  console.log(`ok: no error on the console, no request to another host (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
} catch (err) {
  console.error(err);
  if (faults.length) console.error("besides:", faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
