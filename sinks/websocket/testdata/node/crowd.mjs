// Many users, each with one unmodified phoenix client, for bench/cluster -phoenix. The
// first line of standard input is JSON: the URL, and each user's token. Lines on standard
// output say what happens: "j USER" joined, "l USER" lost the connection, "p USER TO N"
// got push N of user TO. It ends with standard input.
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { Socket } from "phoenix";

const say = (...words) => process.stdout.write(words.join(" ") + "\n");

function connect(url, user, authToken) {
  const socket = new Socket(url, { transport: WebSocket, authToken });
  const channel = socket.channel(`user:${user}`);
  channel.on("push_timed", ({ data }) => say("p", user, data.to, data.n));
  channel.onError(() => say("l", user));
  // The first join and each later one, which the client makes by itself.
  channel.join().receive("ok", () => say("j", user));
  socket.connect();
}

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => {
  const { url, tokens } = JSON.parse(line);
  Object.entries(tokens).forEach(([user, token]) => connect(url, user, token));
});
lines.on("close", () => process.exit(0));
