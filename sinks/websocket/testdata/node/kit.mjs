// What the tests of the phoenix client share: a channelserver in a process of
// its own, and promises around the client's callbacks.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { LongPoll, Socket } from "phoenix";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../..");

// transports are the ways to the server that the tests go over, each with the
// mount that suits it: long polling has a window of a second at /short.
export const transports = [["WebSocket", WebSocket, "/socket"], ["LongPoll", LongPoll, "/short"]];

let built;

// build builds channelserver once, and returns its file.
function build() {
  if (built) return built;
  const dir = mkdtempSync(path.join(tmpdir(), "channelserver-"));
  built = path.join(dir, "channelserver");
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  process.once("SIGTERM", () => process.exit(1));
  execFileSync("go", ["build", "-o", built, "./bench/channelserver"], { cwd: root, stdio: "inherit" });
  return built;
}

// address is a loopback address that no other test has until this process ends.
export async function address() {
  const holder = spawn("go", ["run", "./internal/ports/hold"], { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  const first = await new Promise((resolve, reject) => {
    holder.once("exit", (code) => reject(new Error(`no port: ${code}`)));
    holder.stdout.once("data", (d) => resolve(Number(d)));
  });
  for (const handle of [holder, holder.stdin, holder.stdout]) handle.unref(); // it ends with this process, which need not wait
  return `127.0.0.1:${first + 1}`;
}

// serve starts channelserver. base is its address, which restart keeps.
export async function serve(...args) {
  const bin = build();
  const base = await address();
  let child;
  // A test that is ended from outside leaves no server behind.
  process.once("exit", () => child?.kill("SIGKILL"));
  const server = {
    base,
    async start() {
      child = spawn(bin, ["-listen", server.base, ...args], { stdio: ["ignore", "pipe", "inherit"] });
      await new Promise((resolve, reject) => {
        child.once("exit", (code) => reject(new Error(`server ended with ${code}`)));
        child.stdout.once("data", resolve); // that it listens
      });
    },
    async end(signal) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await gone;
    },
    async stop() {
      await server.end("SIGTERM");
    },
    post: (p) => fetch(`http://${server.base}${p}`, { method: "POST" }),
    token: async (id) => (await fetch(`http://${server.base}/token?user=${id}`)).text(),
    async connect(id, opts = {}, mount = "/socket") {
      const socket = new Socket(`ws://${server.base}${mount}`, { transport: WebSocket, authToken: await server.token(id), ...opts });
      const opened = new Promise((resolve) => socket.onOpen(resolve));
      socket.connect();
      await opened;
      return socket;
    },
  };
  await server.start();
  return server;
}

// outcome is the first answer to a push.
export const outcome = (push) =>
  new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
  });

// once is the payload of the next event of that name.
export const once = (channel, event) =>
  new Promise((resolve) => {
    const ref = channel.on(event, (payload) => { channel.off(event, ref); resolve(payload); });
  });

export const until = (condition) =>
  new Promise((resolve) => {
    const timer = setInterval(() => { if (condition()) { clearInterval(timer); resolve(); } }, 20);
  });

export const closing = (socket) => new Promise((resolve) => socket.disconnect(resolve));

// errored is when the channel has lost its server side.
export const errored = (channel) => new Promise((resolve) => channel.onError(resolve));

export const bytes = (buffer) => [...new Uint8Array(buffer)];
