// What the page says: news that are shown and read out, what is only read out, and whether
// the page is live.

export const $ = (id) => document.getElementById(id);

const SHOWN = 8_000; // milliseconds for which good news stay
let hiding;

// say shows news, and has them read out. Bad ones stay until they are dismissed.
export function say(text, kind = "") {
  clearTimeout(hiding);
  $("news").textContent = text;
  $("toast").className = "toast shown " + kind;
  $("dismiss").hidden = false;
  if (kind === "good") hiding = setTimeout(hide, SHOWN);
}

function hide() {
  const focused = document.activeElement === $("dismiss");
  $("news").textContent = "";
  $("toast").className = "toast";
  $("dismiss").hidden = true;
  if (focused) $("main").focus();
}

$("dismiss")?.addEventListener("click", hide);

// readOut has a text read out, without showing it. A sale changes many sizes in a second:
// what comes within PAUSE is read out at once, at most so many texts of it.
const PAUSE = 2_000, TEXTS = 3;
let waiting = [];

export function readOut(text) {
  if (waiting.push(text) > 1) return;
  setTimeout(() => {
    const more = waiting.length - TEXTS;
    $("read-out").textContent = waiting.slice(0, TEXTS).join(". ") + (more > 0 ? ", and " + more + " more changes." : ".");
    waiting = [];
  }, PAUSE);
}

const STATES = {
  lost: "The live connection is lost. What is shown may be old; the page reconnects by itself.",
  refused: "This page is too old to be live. ",
};
let noticing;

// showState is what a connection calls when it comes and goes.
export function showState(state) {
  document.body.dataset.live = state === "live" ? "yes" : "no";
  const notice = $("offline");
  if (state === "live") {
    clearTimeout(noticing);
    noticing = undefined;
    notice.hidden = true;
    return;
  }
  const show = () => {
    notice.replaceChildren(STATES[state]);
    if (state === "refused") {
      const again = document.createElement("a");
      again.href = location.pathname;
      again.textContent = "Load it again";
      notice.append(again);
    }
    notice.hidden = false;
  };
  if (state === "refused") show();
  else noticing ??= setTimeout(show, 1500); // not for a moment's drop
}
