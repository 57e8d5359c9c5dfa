// Shops in a running shop with Chromium, as STORE's list of acceptance has it.
//
//   node shop.mjs BASE_URL ADMIN_PASSWORD RESTART_COMMAND
//
// The shop must have been started with -stock 1 and -released 1. RESTART_COMMAND
// restarts it at the same address, with its database and its secret; with
// NEW_SECRET=1 in its environment it has another secret.
// Environment: CHROMIUM is the browser's path (default /usr/bin/chromium),
// PAGE_TIMEOUT_MS how long any one step may take (default 30000), SCREENSHOTS
// a folder that gets pictures of all pages.
// Exit code: 0 if everything held, 1 if something did not, 2 for wrong usage.
import assert from "node:assert/strict";
import { Street, says } from "./kit.mjs";
import { watching } from "./watching.mjs";
import { keyboard } from "./keyboard.mjs";
import { plain } from "./plain.mjs";
import { looks } from "./looks.mjs";
import { restarts } from "./restarts.mjs";

const [base, password, restart] = process.argv.slice(2);
if (!base || !URL.canParse(base) || !password || !restart) {
  console.error("usage: node shop.mjs BASE_URL ADMIN_PASSWORD RESTART_COMMAND");
  process.exit(2);
}
const street = await Street.open(base);
try {
  const open = await watching(street, password);
  await keyboard(street, open);
  await plain(street, password, open);
  await looks(street, open);
  await restarts(street, open, restart);
  assert.deepEqual(street.faults, []);
  assert.ok(street.policies > 10, "the policy of " + street.policies + " documents was read");
  says("no error or warning on a console, no violation of the policy, no request to elsewhere");
} catch (err) {
  console.error("FAILED: " + err.stack);
  for (const fault of street.faults) console.error("  " + fault);
  process.exitCode = 1;
} finally {
  await street.close();
}
