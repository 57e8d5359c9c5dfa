// The server-sent events, and what the page may ask the server for. An old state is never
// shown as a new one: silence counts as a lost connection.
import { opened, patched } from "./merge.js";

const asJSON = { "Content-Type": "application/json" };

// Stream keeps one connection, and begins another one when it is lost. show is called with
// each new state and the time at which its reading began, and status with "connecting", "live" or "lost".
export class Stream {
  constructor({ show, status }) {
    this.show = show;
    this.status = status;
    this.pause = 500;
    this.connect();
    setInterval(() => this.check(), 500);
    addEventListener("online", () => this.connect());
    document.addEventListener("visibilitychange", () => document.hidden || this.check());
  }

  connect() {
    clearTimeout(this.retry);
    this.source?.close();
    this.model = undefined;
    const source = (this.source = new EventSource("events"));
    this.begun = this.heard = performance.now();
    const hear = (use) => (e) => {
      if (source !== this.source) return;
      const begun = performance.now();
      try {
        use(JSON.parse(e.data));
      } catch (err) {
        console.error(err);
        return this.lose();
      }
      this.heard = performance.now();
      this.pause = 500;
      this.status("live");
      this.show(this.model, begun);
    };
    source.addEventListener("state", hear((state) => (this.model = opened(state))));
    source.addEventListener("patch", hear((patch) => this.model && patched(this.model, patch)));
    source.onerror = () => source === this.source && this.lose();
  }

  // check takes the silence of three intervals for a lost connection.
  check() {
    const limit = Math.max(5000, 3 * (this.model?.interval ?? 1000));
    if (this.source && performance.now() - this.heard > limit) this.lose();
  }

  // lose waits longer after each failure, up to ten seconds.
  lose() {
    this.source?.close();
    this.source = undefined;
    this.status("lost");
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(10_000, this.pause * 2);
  }
}

// asked sends a request and returns its JSON, or {error} in words.
async function asked(path, init) {
  try {
    const answer = await fetch(path, { ...init, credentials: "same-origin", cache: "no-store" });
    const text = await answer.text();
    let body = {};
    try {
      body = text ? JSON.parse(text) : {};
    } catch {
      body = {};
    }
    if (answer.ok) return body;
    return { error: body.error || (answer.status === 403 ? "the program does not allow it" : `the server replied ${answer.status}`) };
  } catch {
    return { error: "the server cannot be reached" };
  }
}

// actions are what the page may ask for.
export const actions = {
  control: (order) => asked("control", { method: "POST", headers: asJSON, body: JSON.stringify(order) }),
  letters: (part) => asked("letters?part=" + encodeURIComponent(part)),
  play: (part, ids) => asked("letters", { method: "POST", headers: asJSON, body: JSON.stringify({ part, ids }) }),
};
