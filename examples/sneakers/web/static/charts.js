// The pictures of the admin's page. The server has drawn them once: this moves the bars.

const SECONDS = 60; // what the chart of sales shows, a bar each

// Sales is the chart of pairs sold a second.
export class Sales {
  constructor(svg, text) {
    this.text = text;
    this.bars = [...svg.querySelectorAll("rect")];
    this.pairs = this.bars.map((bar) => Number(bar.dataset.pairs)); // the oldest first
    this.end = Number(svg.dataset.end); // the second of the last bar, unix time
    this.sold = Number(svg.dataset.sold);
  }

  // add takes over how many were sold in all until a moment, in unix milliseconds.
  add(at, sold) {
    const second = Math.floor(at / 1000);
    for (let i = Math.min(second - this.end, SECONDS); i > 0; i--) {
      this.pairs.shift();
      this.pairs.push(0);
    }
    this.end = Math.max(this.end, second);
    this.pairs[SECONDS - 1] += Math.max(0, sold - this.sold);
    this.sold = sold;
    this.draw();
  }

  draw() {
    const most = Math.max(...this.pairs), all = this.pairs.reduce((sum, n) => sum + n, 0);
    this.bars.forEach((bar, i) => {
      const height = most ? (100 * this.pairs[i]) / most : 0;
      bar.setAttribute("y", 100 - height);
      bar.setAttribute("height", height);
    });
    this.text.textContent = all + " in the last minute, at most " + most + " in a second";
  }
}

const width = (rect, part, whole) => rect.setAttribute("width", Math.min(100, (100 * part) / whole));

// showPages shows how many tabs have which page. Those of no known page are in the last row.
export function showPages(list, pages, tabs) {
  const rows = [...list.querySelectorAll("li")];
  let other = tabs;
  const counts = rows.map((row) => {
    const n = row.dataset.page ? (pages.get(row.dataset.page) ?? 0) : other;
    other -= n;
    return n;
  });
  const most = Math.max(1, ...counts);
  rows.forEach((row, i) => {
    row.querySelector("b").textContent = counts[i];
    width(row.querySelector("rect"), counts[i], most);
  });
}

// level is what shoppers see of a count.
const level = (n) => (n <= 0 ? "out" : n <= 5 ? "low" : n <= 15 ? "medium" : "high");

// showSizes shows what is left of each size, and in how many carts it is. The longest bar
// stands for the most pairs of one size, or for what a size has had on average, if that is more.
export function showSizes({ items: left, stocked }, carts) {
  const rows = document.querySelectorAll("li[data-item-id]");
  const most = Math.max(1, Math.ceil(stocked / rows.length), ...Object.values(left));
  for (const row of rows) {
    const { itemId } = row.dataset;
    const inCarts = carts.get(itemId) ?? 0;
    row.querySelector("b.carts").textContent = inCarts;
    width(row.querySelector("rect.carts"), inCarts, most);
    if (left[itemId] === undefined) continue; // made since the page was loaded
    row.className = "level-" + level(left[itemId]);
    row.querySelector("b.left").textContent = left[itemId];
    width(row.querySelector("rect.left"), left[itemId], most);
  }
}
