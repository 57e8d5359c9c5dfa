// The nodes of a cluster, from all parts that know of some. Nothing here touches the page.

// clusterOf returns this node and the others that it knows or has known. A node that was
// seen and is named no more is missing for as long as the page is open, since no part says
// whether it was meant to leave.
export function clusterOf(model, seen) {
  const here = new Set(), there = new Set(), down = new Set();
  let connected = true;
  for (const { data } of model.parts.values()) {
    if (typeof data?.node !== "string" || !data.node || !(Array.isArray(data.nodes) || data.up || data.down)) continue;
    here.add(data.node);
    for (const n of data.nodes || []) there.add(typeof n === "string" ? n : n.name);
    for (const n of data.up || []) there.add(n);
    for (const n of data.down || []) down.add(n);
    if (data.connected === false) connected = false;
  }
  for (const n of there) seen.set(n, model.at);
  for (const n of seen.keys()) if (!there.has(n) && !here.has(n)) down.add(n);
  const all = [...here].map((name) => ({ name, self: true, missing: false }));
  for (const name of new Set([...there, ...down])) {
    if (!here.has(name)) all.push({ name, self: false, missing: !connected || down.has(name) });
  }
  return all.sort((a, b) => b.self - a.self || a.name.localeCompare(b.name));
}
