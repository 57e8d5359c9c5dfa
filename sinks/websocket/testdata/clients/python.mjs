// Starts the server and nginx for the Python client of Supabase.
import { spawn } from "node:child_process";
import { once as emitted } from "node:events";
import { serve } from "./kit.mjs";

const server = await serve();
let failed = 0;
for (const [name, url] of Object.entries(server.routes)) {
  const tokens = await Promise.all(["ann", "bob"].map(server.token));
  const child = spawn("python/bin/python", ["realtime_client.py", `${url.replace(/^http/, "ws")}/socket`, ...tokens], { stdio: "inherit" });
  const [code] = await emitted(child, "exit");
  console.log(`${code === 0 ? "ok" : "FAILED"}: realtime of PyPI, ${name}`);
  failed ||= code;
}
const codes = await server.stop();
process.exit(failed || codes.some((c) => c !== 0) ? 1 : 0);
