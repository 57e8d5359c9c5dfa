// Dead letters: how many, what is in them, and playing them back.
import { each, h, say, set } from "./dom.js";
import { bytes, clock, count, plural } from "./format.js";

// showLetters shows a part of dead letters. The letters themselves are asked for when
// somebody looks.
export function showLetters(el, part, model, actions) {
  const d = part.data;
  const stored = d.stored ?? d.letters ?? 0;
  if (!el.look) make(el, part, actions);
  say(el.words, d.error ? `They cannot be counted: ${d.error}` : stored ? `${plural(stored, "letter")}${d.waiting ? `, ${count(d.waiting)} not stored yet` : ""}` : "None.");
  set(el, { "data-severity": stored ? "warn" : undefined });
  set(el.look, { hidden: !stored && !el.open });
  set(el.play, { hidden: !(el.open && model.control && d.playable !== false) });
}

function make(el, part, actions) {
  el.list = h("ul", { class: "letters" });
  el.note = h("p", { class: "words", role: "status" });
  el.look = h("button", { type: "button", class: "quiet", "aria-expanded": "false" }, "Look at them");
  el.play = h("button", { type: "button", hidden: true }, "Play back those that are ticked");
  const load = async () => {
    const answer = await actions.letters(part.id);
    say(el.note, answer.error || (answer.left_off ? `${count(answer.left_off)} more are not shown.` : answer.letters.length ? "" : "There are none."));
    if (!answer.error) each(el.list, answer.letters, (l) => l.id + (l.played ? "!" : ""), letter);
  };
  el.look.onclick = () => {
    el.open = !el.open;
    say(el.look, el.open ? "Close" : "Look at them");
    set(el.look, { "aria-expanded": String(el.open) });
    set(el.list, { hidden: !el.open });
    set(el.note, { hidden: !el.open });
    if (el.open) load();
    else set(el.play, { hidden: true });
  };
  el.play.onclick = async () => {
    const ids = [...el.list.querySelectorAll("input:checked")].map((i) => i.value);
    if (!ids.length) return say(el.note, "Tick the letters to play back first.");
    const answer = await actions.play(part.id, ids);
    if (!answer.error) await load();
    say(el.note, answer.error || `${plural(answer.played ?? ids.length, "letter")} played back${answer.skipped ? `, ${count(answer.skipped)} left out since they were played back before` : ""}.`);
  };
  el.room.append(h("div", { class: "row" }, el.look, el.play), el.note, el.list);
}

function letter(l) {
  const event = l.binary ? "(binary) " + l.event : JSON.stringify(l.event);
  return h("li", {},
    h("label", {}, h("input", { type: "checkbox", value: l.id }), h("span", {}, h("b", {}, l.error), l.played && h("span", { class: "chip" }, "played back"), h("span", { class: "quiet" }, ` in ${l.stage}, ${plural(l.attempts, "attempt")}, ${clock(l.last)}${l.key ? `, key ${l.key}` : ""}${l.source ? `, from ${l.source}` : ""}`))),
    h("code", {}, event.length > 400 ? event.slice(0, 400) + "…" : event),
    l.bytes && h("span", { class: "words" }, `${bytes(l.bytes)} in all`));
}
