// A channelserver, and nginx in front of it: TLS, a path prefix, and a read
// timeout of ten seconds. .ci/clients builds the server, and the program that
// keeps ports, and makes the certificate that Node trusts.
import { spawn } from "node:child_process";
import { once as emitted } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const { CHANNELSERVER, HOLD, CERTIFICATE, KEY, NGINX = "nginx" } = process.env;

// The location of nginx is what its documentation has for WebSocket, with a
// prefix that the server does not know of.
const nginxConfig = (port, upstream, dir) => `
daemon off;
pid ${dir}/pid;
error_log stderr error;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${CERTIFICATE};
    ssl_certificate_key ${KEY};
    location /app/ {
      proxy_pass http://${upstream}/;
      proxy_http_version 1.1;
      proxy_read_timeout 10s;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`;

// freePort is a loopback port that no other test has until this process ends.
async function freePort() {
  const holder = spawn(HOLD, { stdio: ["pipe", "pipe", "inherit"] });
  const [first] = await emitted(holder.stdout, "data");
  for (const handle of [holder, holder.stdin, holder.stdout]) handle.unref(); // it ends with this process, which need not wait
  return Number(first) + 1;
}

// serve starts both. routes are the two ways in, as URLs without a path.
export async function serve(...args) {
  const dir = mkdtempSync(path.join(tmpdir(), "clients-"));
  const children = [];
  process.once("exit", () => {
    // Not SIGKILL, after which the workers of nginx would live on.
    for (const c of children) c.kill("SIGTERM");
    rmSync(dir, { recursive: true, force: true });
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const start = (command, argv) => {
    const child = spawn(command, argv, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    return child;
  };
  const server = start(CHANNELSERVER, ["-listen", "127.0.0.1:0", ...args]);
  const [line] = await emitted(server.stdout, "data");
  const base = String(line).match(/listening on (\S+)/)[1];
  const port = await freePort();
  writeFileSync(path.join(dir, "nginx.conf"), nginxConfig(port, base, dir));
  const nginx = start(NGINX, ["-p", dir, "-e", "stderr", "-c", path.join(dir, "nginx.conf")]);
  const front = `https://localhost:${port}/app`;
  await until(() => fetch(`${front}/stats`).then((r) => r.ok, () => false));
  const get = (p) => fetch(`http://${base}${p}`);
  return {
    base,
    routes: { direct: `http://${base}`, "nginx with TLS": front },
    token: async (id) => (await get(`/token?user=${id}`)).text(),
    stats: async () => (await get("/stats")).json(),
    post: (p) => fetch(`http://${base}${p}`, { method: "POST" }),
    async stop() {
      const codes = [];
      for (const child of [nginx, server]) {
        child.kill("SIGTERM");
        codes.push((await emitted(child, "exit"))[0]);
      }
      return codes;
    },
  };
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// until waits for a condition; the timeout of the test bounds it.
export async function until(condition) {
  while (!(await condition())) await pause(20);
}

// outcome is the first reply to a push.
export const outcome = (push) =>
  new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
  });

export const once = (channel, event) =>
  new Promise((resolve) => {
    const ref = channel.on(event, (payload) => { channel.off(event, ref); resolve(payload); });
  });

export const closing = (socket) => new Promise((resolve) => socket.disconnect(resolve));
