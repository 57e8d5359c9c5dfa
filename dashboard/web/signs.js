// The signs of the page. Each has a shape of its own, so that none depends on its colour.
import { s, set } from "./dom.js";

const shapes = {
  // problems
  stuck: ["M8 1 15 8 8 15 1 8Z", "M5.5 5.5l5 5m0-5l-5 5"],
  error: ["M8 1 15 8 8 15 1 8Z", "M8 4.5v4.5m0 2v.6"],
  stopped: ["M3 3h10v10H3Z", "M5.5 5.5l5 5m0-5l-5 5"],
  restart: ["M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Z", "M11 6.2A3.6 3.6 0 1 0 11.6 9M11.4 3.8v2.6H8.8"],
  node: ["M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Z", "M5.5 5.5l5 5m0-5l-5 5"],
  long: ["M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Z", "M8 4.3V8l2.6 1.8"],
  flood: ["M8 1 15.3 14.5H.7Z", "M4.6 11.6c1.2-1.2 2.2-1.2 3.4 0s2.2 1.2 3.4 0M8 5v3.4"],
  growing: ["M8 1 15.3 14.5H.7Z", "M8 12.2V6.4M5.8 8.6 8 6.2l2.2 2.4"],
  failures: ["M8 1 15.3 14.5H.7Z", "M8 5.6v4m0 1.8v.6"],
  discards: ["M8 1 15.3 14.5H.7Z", "M8 5.6v4.4M5.8 9.2 8 11.8l2.2-2.6"],
  letters: ["M1 3h14v10H1Z", "M1.6 4 8 8.8 14.4 4"],
  parked: ["M3 1h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V3a2 2 0 0 1 2-2Z", "M6 12V4.2h2.7a2.2 2.2 0 0 1 0 4.4H6"],
  paused: ["M3 1h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V3a2 2 0 0 1 2-2Z", "M6 4.6v6.8M10 4.6v6.8"],
  well: ["M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Z", "M4.8 8.3l2.2 2.2 4.2-4.6"],
  // kinds of stages
  producer: ["M1 8a5 5 0 1 1 10 0A5 5 0 0 1 1 8Z", "M6 8h9m-3-3 3 3-3 3"],
  "producer-consumer": ["M4 3h8v10H4Z", "M0 8h16m-3-2.4L15.6 8 13 10.4"],
  consumer: ["M5 8a5 5 0 1 1 10 0A5 5 0 0 1 5 8Z", "M1 8h9M7 5l3 3-3 3"],
};

// sign makes a sign; look says whether it is filled ("problem") or drawn in lines ("kind").
export function sign(name, look = "problem") {
  const el = s("svg", { class: "sign " + look, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { class: "ground" }), s("path", { class: "mark" }));
  return resign(el, name);
}

// resign makes a sign another one.
export function resign(el, name) {
  const [ground, mark] = shapes[name] || shapes.failures;
  set(el, { "data-sign": name });
  set(el.firstChild, { d: ground });
  set(el.lastChild, { d: mark });
  return el;
}
