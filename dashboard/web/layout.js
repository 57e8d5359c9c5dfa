// Where the nodes of a graph are. Nothing here touches the page.

// layers gives each node the length of the longest way to it from a source, so that every
// pipe leads onward. Edges that would close a circle are left out.
export function layers(names, edges) {
  const next = new Map(names.map((n) => [n, []]));
  for (const { from, to } of edges) if (next.has(from) && next.has(to) && from !== to) next.get(from).push(to);
  const order = [], state = new Map();
  for (const root of names) {
    if (state.has(root)) continue;
    const path = [[root, 0]];
    state.set(root, "open");
    while (path.length) {
      const top = path.at(-1), ways = next.get(top[0]);
      if (top[1] === ways.length) {
        state.set(top[0], "done");
        order.push(top[0]);
        path.pop();
        continue;
      }
      const to = ways[top[1]];
      if (state.get(to) === "open") ways.splice(top[1], 1); // a circle
      else {
        top[1]++;
        if (!state.has(to)) {
          state.set(to, "open");
          path.push([to, 0]);
        }
      }
    }
  }
  const layer = new Map(names.map((n) => [n, 0]));
  for (const name of order.reverse()) for (const to of next.get(name)) layer.set(to, Math.max(layer.get(to), layer.get(name) + 1));
  return layer;
}

// rows orders the nodes of each layer so that few pipes cross: each goes to the mean place
// of its neighbours, a few times back and forth.
export function rows(names, edges, layer) {
  const depth = Math.max(-1, ...layer.values()) + 1;
  const columns = Array.from({ length: depth }, () => []);
  for (const name of names) columns[layer.get(name)].push(name);
  const place = new Map();
  const note = () => columns.forEach((c) => c.forEach((n, i) => place.set(n, (i + 0.5) / c.length)));
  note();
  for (let sweep = 0; sweep < 6; sweep++) {
    const forward = sweep % 2 === 0;
    const sums = new Map(names.map((n) => [n, [0, 0]]));
    for (const { from, to } of edges) {
      if (!place.has(from) || !place.has(to)) continue;
      const [at, other] = forward ? [to, from] : [from, to];
      const sum = sums.get(at);
      (sum[0] += place.get(other)), sum[1]++;
    }
    const mean = (n) => (sums.get(n)[1] ? sums.get(n)[0] / sums.get(n)[1] : place.get(n));
    for (const column of columns) column.sort((a, b) => mean(a) - mean(b) || names.indexOf(a) - names.indexOf(b));
    note();
  }
  return columns;
}

// size of a node, and the room that a graph leaves between two of them.
export const card = { width: 196, height: 118, least: 148, gapX: 84, leastGap: 44, gapY: 20 };

// placed returns the boxes of the nodes, left to right, or top to bottom if it is narrow.
export function placed(names, edges, width, narrow) {
  const columns = rows(names, edges, layers(names, edges));
  return narrow ? downward(columns, width) : onward(columns, width);
}

function onward(columns, width) {
  const n = Math.max(1, columns.length);
  let gap = card.gapX, w = Math.min(card.width + 60, (width - (n - 1) * gap) / n);
  if (w < card.width) (gap = card.leastGap), (w = Math.min(card.width, (width - (n - 1) * gap) / n));
  w = Math.max(card.least, Math.floor(w));
  if (n > 1) gap = Math.min(150, Math.max(gap, Math.floor((width - n * w) / (n - 1))));
  const tallest = Math.max(1, ...columns.map((c) => c.length));
  const height = tallest * card.height + (tallest - 1) * card.gapY;
  const boxes = new Map();
  columns.forEach((column, x) => {
    const own = column.length * card.height + (column.length - 1) * card.gapY;
    column.forEach((name, y) => {
      boxes.set(name, { x: x * (w + gap), y: (height - own) / 2 + y * (card.height + card.gapY), w, h: card.height });
    });
  });
  return { boxes, width: n * w + (n - 1) * gap, height, gap };
}

// downward puts at most two nodes beside each other, so that nothing is wider than a phone.
function downward(columns, width) {
  const gap = 44, half = Math.floor((width - 12) / 2);
  const boxes = new Map();
  let y = 0;
  for (const column of columns) {
    for (let i = 0; i < column.length; i += 2) {
      const alone = i + 1 === column.length;
      const w = alone ? Math.min(width, 240) : half;
      if (alone) boxes.set(column[i], { x: (width - w) / 2, y, w, h: card.height });
      else [0, 1].forEach((j) => boxes.set(column[i + j], { x: j * (half + 12), y, w, h: card.height }));
      y += card.height + (i + 2 < column.length ? 12 : gap);
    }
  }
  return { boxes, width, height: Math.max(0, y - gap), gap };
}

// pipe is the path of an edge between two boxes, and where its label is: on a straight pipe
// in the middle, unless others leave beside it, and on a bent one at its end, out of its way.
export function pipe(a, b, narrow, forks) {
  if (narrow) {
    const x1 = a.x + a.w / 2, y1 = a.y + a.h, x2 = b.x + b.w / 2, y2 = b.y;
    const bend = Math.max(20, (y2 - y1) / 2);
    const left = x2 < x1 - 8 || (Math.abs(x2 - x1) < 8 && b.x === 0); // the side where no other pipe leaves
    return { d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`, x: left ? x2 - 12 : x2 + 12, above: y2 - 20, below: y2 - 7, anchor: left ? "end" : "start" };
  }
  const x1 = a.x + a.w, y1 = a.y + a.h / 2, x2 = b.x, y2 = b.y + b.h / 2;
  const bend = Math.max(24, (x2 - x1) / 2);
    const d = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  if (Math.abs(y2 - y1) < 8) return { d, x: forks ? x2 - 8 : (x1 + x2) / 2, above: y1 - 12, below: y1 + 20, anchor: forks ? "end" : "middle" };
  return y2 > y1 ? { d, x: x2 - 8, above: y2 + 20, below: y2 + 34, anchor: "end" } : { d, x: x2 - 8, above: y2 - 26, below: y2 - 12, anchor: "end" };
}
