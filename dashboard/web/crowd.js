// Many stages as a few groups, so that a picture of a thousand can be read. Nothing here
// touches the page.

// readable is how many nodes a graph shows at most.
export const readable = 24;

// family is the name that stages share which differ in a number at the end: "fetch" for
// "fetch-17".
export function family(name) {
  return name.replace(/[-_.:/#\s]?\d+$/, "") || name;
}

// gathered returns the groups in which stages are shown: each by itself if there are few,
// else those of a family together, else by the first word of the name, and else the
// foremost ones and all others. rank says how much a stage deserves to be seen.
export function gathered(names, rank) {
  if (names.length <= readable) return new Map(names.map((n) => [n, [n]]));
  for (const by of [family, (n) => family(n).split(/[-_.:/#\s]/)[0]]) {
    const groups = new Map();
    for (const name of names) {
      const key = by(name);
      if (groups.has(key)) groups.get(key).push(name);
      else groups.set(key, [name]);
    }
    if (groups.size <= readable) return named(groups);
  }
  const sorted = [...names].sort((a, b) => rank(b) - rank(a));
  const groups = new Map(sorted.slice(0, readable - 1).map((n) => [n, [n]]));
  groups.set("others", sorted.slice(readable - 1));
  return named(groups);
}

// named gives a group of one the name of its stage.
function named(groups) {
  return new Map([...groups].map(([key, members]) => (members.length === 1 ? [members[0], members] : [key, members])));
}

// joined adds up the edges between groups, and leaves out those inside of one.
export function joined(edges, groupOf) {
  const all = new Map();
  for (const e of edges) {
    const from = groupOf(e.producer), to = groupOf(e.consumer);
    if (from === undefined || to === undefined || from === to) continue;
    const id = from + "\n" + to;
    const sum = all.get(id) || { id, from, to, n: 0, rate: 0, inFlight: 0, demand: 0, max: 0, paused: 0 };
    sum.n++;
    sum.rate += e.rate || 0;
    sum.inFlight += e.in_flight || 0;
    sum.demand += e.demand || 0;
    sum.max += e.max_demand || 0;
    sum.paused += e.paused ? 1 : 0;
    all.set(id, sum);
  }
  return [...all.values()];
}
