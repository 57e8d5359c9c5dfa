// A page that changes under its reader must not lose the place where the keyboard is.

const FOCUSABLE = "button, a[href]";

// key names a control, so that it can be found again in HTML that replaces it.
const key = (control) => control.dataset.itemId ?? control.value ?? control.href;

// replace puts the server's HTML into a region. The focus stays on the same control; if that
// is gone it goes to the one in its place, or to the last.
export function replace(region, html) {
  const controls = [...region.querySelectorAll(FOCUSABLE)];
  const at = controls.indexOf(document.activeElement);
  const focused = at >= 0 && key(controls[at]);
  region.innerHTML = html;
  if (at < 0) return;
  const now = [...region.querySelectorAll(FOCUSABLE)];
  const next = now.find((c) => key(c) === focused) ?? now[Math.min(at, now.length - 1)];
  if (next?.disabled) hold(next);
  next?.focus();
}

// lock disables a button. One that has the focus keeps it until it is left: the browser
// would put the focus at the beginning of the page.
export function lock(button, locked) {
  button.removeAttribute("aria-disabled");
  button.disabled = locked && button !== document.activeElement;
  if (locked && !button.disabled) hold(button);
}

function hold(button) {
  button.disabled = false;
  button.setAttribute("aria-disabled", "true");
  button.addEventListener("blur", () => {
    if (button.getAttribute("aria-disabled") === "true") lock(button, true);
  }, { once: true });
}

export const isLocked = (button) => button.disabled || button.getAttribute("aria-disabled") === "true";
