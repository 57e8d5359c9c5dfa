// A small client of the Phoenix Channels protocol, version 2: connect, join, push, and
// joining again after a drop. Messages are [join_ref, ref, topic, event, payload]. The
// phoenix package from npm speaks the same, and can be used in its place.

const HEARTBEAT = 30_000; // milliseconds: the server closes a connection that is silent for 60 s

export class Live {
  // changed(state) is called with "live" and "lost", and with "refused" if the server is
  // there and takes no connection of this page any more: its token has expired.
  constructor(path, token, changed) {
    this.path = path;
    this.token = token;
    this.changed = changed;
    this.channels = new Map(); // by topic
    this.replies = new Map(); // by ref: what to call with (status, response)
    this.ref = 0;
    this.tries = 0; // since it was connected
    this.open();
    // A page that was in the background may have lost its connection without notice.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.socket.readyState === WebSocket.CLOSED) this.retry(0);
    });
  }

  open() {
    // From location.host, which never has the user and password that an address can begin with.
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    const bearer = btoa(this.token).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
    this.socket = new WebSocket(scheme + location.host + this.path + "/websocket?vsn=2.0.0", ["phoenix", "base64url.bearer.phx." + bearer]);
    this.socket.onopen = () => {
      this.tries = 0;
      this.changed("live");
      this.beat = setInterval(() => this.send(null, "phoenix", "heartbeat", {}), HEARTBEAT);
      for (const channel of this.channels.values()) channel.joinNow();
    };
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = () => {
      clearInterval(this.beat);
      this.changed("lost");
      this.replies.clear();
      for (const channel of this.channels.values()) channel.joined = false;
      // Spread out, so that a crowd does not come back in one moment.
      this.retry(Math.min(10_000, 250 * 2 ** this.tries++) * (0.5 + Math.random()));
      if (this.tries > 3) this.ask();
    };
  }

  // ask finds out why there is no connection, which a WebSocket does not say.
  async ask() {
    const there = await fetch(location.origin + "/healthz", { cache: "no-store" }).then((r) => r.ok, () => false);
    if (there && this.tries > 0) this.changed("refused");
  }

  retry(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), ms);
  }

  send(joinRef, topic, event, payload, reply) {
    const ref = String(++this.ref);
    if (reply) this.replies.set(ref, reply);
    this.socket.send(JSON.stringify([joinRef, ref, topic, event, payload]));
    return ref;
  }

  receive([joinRef, ref, topic, event, payload]) {
    if (event === "phx_reply") {
      const reply = this.replies.get(ref);
      this.replies.delete(ref);
      if (reply) reply(payload.status, payload.response);
      return;
    }
    const channel = this.channels.get(topic);
    if (!channel || (joinRef && joinRef !== channel.joinRef)) return;
    if (event === "phx_error") {
      channel.joined = false;
      setTimeout(() => channel.joinNow(), 1000);
    }
    channel.handlers[event]?.(payload);
  }

  // channel joins a topic, now and after each drop. params is called for each join;
  // handlers are by event, "refused" is called with the reason of a refusal.
  channel(topic, params, handlers) {
    const channel = new Channel(this, topic, params, handlers);
    this.channels.set(topic, channel);
    channel.joinNow();
    return channel;
  }
}

class Channel {
  constructor(live, topic, params, handlers) {
    Object.assign(this, { live, topic, params, handlers, joined: false });
  }

  joinNow() {
    if (this.live.socket.readyState !== WebSocket.OPEN) return;
    this.joinRef = String(this.live.ref + 1);
    this.live.send(this.joinRef, this.topic, "phx_join", this.params(), (status, response) => {
      this.joined = status === "ok";
      if (!this.joined) this.handlers.refused?.(response.reason);
    });
  }

  // push sends an event, and calls reply(status, response). It reports whether it could.
  push(event, payload, reply) {
    if (!this.joined || this.live.socket.readyState !== WebSocket.OPEN) return false;
    this.live.send(this.joinRef, this.topic, event, payload, reply);
    return true;
  }
}
