// Buttons that control a pipeline or one of its steps. The server decides whether there are
// any, and again for each click.
import { h, say, set } from "./dom.js";

// Controls are the buttons of one pipeline, or of one step if it is named.
export class Controls {
  constructor(actions, part, step, { can = ["pause", "rate", "drain"], workers, rateOf = "events a second" } = {}) {
    this.actions = actions;
    this.part = part;
    this.step = step;
    const of = step ? `step ${step}` : "the pipeline";
    this.message = h("p", { class: "outcome", role: "status" });
    this.pause = this.button("Pause", () => this.send(this.paused ? "resume" : "pause"));
    this.el = h("div", { class: "controls", role: "group", "aria-label": `Control ${of}` });
    if (can.includes("pause")) this.el.append(this.pause);
    if (can.includes("rate")) this.el.append(this.field("rate", "Rate", `${rateOf}, 0 for no limit`, 0, "any", ""));
    if (can.includes("resize")) this.el.append(this.field("resize", "Workers", `number of workers of ${of}`, 1, 1, workers));
    if (can.includes("restart")) this.el.append(this.button("Restart", () => this.confirm(`Make ${step} anew? What it has not finished is delivered to it again.`, "restart")));
    if (can.includes("drain")) this.el.append(this.button("Drain", () => this.confirm(`Drain ${of}? It ends when it has finished what it has, and does not start again.`, "drain"), "grave"));
    this.el.append(this.message);
  }

  button(text, onclick, look = "quiet") {
    return h("button", { type: "button", class: look, onclick }, text);
  }

  // field is a number with a button to set it.
  field(action, text, hint, min, step, value) {
    const input = h("input", { type: "number", min, step, inputmode: "decimal", "aria-label": `${text}: ${hint}`, title: hint, placeholder: action === "rate" ? "no limit" : "" });
    input.value = value ?? "";
    const go = () => (input.value === "" && action !== "rate" ? say(this.message, `${text}: a number is missing.`) : this.send(action, Number(input.value || 0)));
    input.onkeydown = (e) => e.key === "Enter" && go();
    this[action] = input;
    return h("span", { class: "field" }, h("span", { class: "what" }, text), input, h("button", { type: "button", class: "quiet", "aria-label": `Set ${text.toLowerCase()} of ${this.step || "the pipeline"}`, onclick: go }, "Set"));
  }

  async send(action, value) {
    say(this.message, "…");
    const { error } = await this.actions.control({ part: this.part, step: this.step || "", action, value });
    set(this.message, { "data-failed": error !== undefined });
    say(this.message, error ? `Not done: ${error}` : `Done: ${action}${value === undefined ? "" : " " + value}.`);
  }

  // confirm asks before what cannot be taken back.
  confirm(question, action) {
    const dialog = document.getElementById("confirm");
    say(dialog.querySelector("p"), question);
    const [no, yes] = dialog.querySelectorAll("button");
    say(yes, action === "drain" ? "Drain" : "Restart");
    no.onclick = () => dialog.close();
    yes.onclick = () => {
      dialog.close();
      this.send(action);
    };
    dialog.showModal();
    no.focus();
  }

  // update shows whether it is paused; without permission there are no buttons.
  update(paused, allowed) {
    this.paused = paused;
    say(this.pause, paused ? "Resume" : "Pause");
    set(this.el, { hidden: !allowed });
  }
}
