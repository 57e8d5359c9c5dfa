// A proxy in front of the server, whose connections can be cut and healed.
import { createServer, request } from "node:http";

// proxy listens on a free port. cut closes all connections and refuses others until heal.
export async function proxy(target) {
  const { hostname, port } = new URL(target);
  let down = false;
  const server = createServer((req, res) => {
    if (down) return req.socket.destroy();
    const on = request({ hostname, port, path: req.url, method: req.method, headers: { ...req.headers, host: `${hostname}:${port}` } }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    on.on("error", () => res.destroy());
    res.on("close", () => on.destroy());
    req.pipe(on);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}${new URL(target).pathname}`,
    cut() {
      down = true;
      server.closeAllConnections();
    },
    heal: () => (down = false),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
