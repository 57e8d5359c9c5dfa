// Numbers and times as people read them. Nothing here touches the page.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

// count is a whole number: 1,490, and 41.2k from ten thousand on.
export function count(n) {
  if (!Number.isFinite(n)) return "–";
  const size = Math.abs(n);
  if (size < 10_000) return grouped.format(Math.round(n));
  if (size < 1e6) return trim(n / 1e3, size < 1e5 ? 1 : 0) + "k";
  if (size < 1e9) return trim(n / 1e6, size < 1e8 ? 1 : 0) + "M";
  return trim(n / 1e9, 1) + "G";
}

function trim(n, digits) {
  return n.toFixed(digits).replace(/\.0$/, "");
}

// rate is events a second: with a decimal where less than ten, "–" as long as it is not known.
export function rate(n) {
  if (n === undefined || n === null || !Number.isFinite(n)) return "–";
  if (n > 0 && n < 0.05) return "<0.1";
  return n < 10 ? trim(n, 1) : count(n);
}

// plural is a number with its noun: "1 event", "2 events".
export function plural(n, one, many = one + "s") {
  return `${count(n)} ${Math.round(n) === 1 ? one : many}`;
}

// span is a duration given in nanoseconds: "4 ms", "1.5 s", "9 min 58 s".
export function span(ns) {
  const ms = ns / 1e6;
  if (ms < 1) return ms > 0 ? "<1 ms" : "0 ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  const s = ms / 1000;
  if (s < 10) return trim(s, 1) + " s";
  const whole = Math.round(s);
  if (whole < 60) return whole + " s";
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(s / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

// percent is a share of a whole.
export function percent(part, whole) {
  if (!(whole > 0)) return "–";
  const n = Math.round((100 * part) / whole);
  return (n === 100 && part < whole ? 99 : n) + "\u00a0%"; // all only if it is all
}

// bytes is a size: "900 B", "48 kB".
export function bytes(n) {
  return n < 1000 ? `${Math.round(n)} B` : n < 1e6 ? `${trim(n / 1e3, 0)} kB` : n < 1e9 ? `${trim(n / 1e6, 1)} MB` : `${trim(n / 1e9, 1)} GB`;
}

// words turns a field's name into words: "in_flight" and "oldest_ns" into "in flight" and "oldest".
export function words(name) {
  return name.replace(/_ns$/, "").replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
}

// clock is the time of day of a moment, with seconds.
export function clock(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "–" : date.toLocaleTimeString([], { hour12: false });
}
