// Workers as cells: idle, busy, long, stuck. Each differs in shape as well as in colour.
import { each, h, say, set } from "./dom.js";

// showCells draws at most so many cells, and the number of those left out. The stuck ones
// come first and are never left out while there is room.
export function showCells(el, cells, most) {
  const shown = cells.length > most ? cells.slice(0, most) : cells;
  const items = [...shown.map((state) => ({ state }))];
  if (cells.length > most) items.push({ state: "more", n: cells.length - most });
  each(el, items, (_, i) => i, () => h("i", {}), (cell, { state, n }) => {
    set(cell, { "data-cell": state });
    say(cell, state === "more" ? "+" + n : "");
  });
}
