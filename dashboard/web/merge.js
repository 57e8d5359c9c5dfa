// The state as the server sends it, whole once and then what has changed. Nothing here
// touches the page.

const graphs = new Set(["pipeline", "stages"]);

// lists of a graph, by the field that identifies an element, and the field of a patch that
// names those that are gone.
const lists = { steps: ["name", "gone_steps"], stages: ["name", "gone"], edges: ["id", "gone_edges"] };

// opened makes the model from a whole state.
export function opened(state) {
  const model = {
    title: state.title || "Dashboard",
    at: Date.parse(state.at),
    interval: state.interval_ms || 1000,
    control: state.control === true,
    parts: new Map(),
  };
  for (const part of state.parts || []) model.parts.set(part.id, newPart(part));
  return model;
}

// patched brings a model up to date with a patch, in place.
export function patched(model, patch) {
  model.at = Date.parse(patch.at);
  for (const change of patch.parts || []) {
    const part = model.parts.get(change.id);
    if (part === undefined) {
      model.parts.set(change.id, newPart(change));
      continue;
    }
    if (change.name) part.name = change.name;
    if (change.late !== undefined) part.late = change.late;
    if (change.data === undefined || change.data === null) continue;
    if (part.stages) patchGraph(part, change.data);
    else part.data = change.data;
  }
  return model;
}

// newPart keeps the stages and edges of a graph by name and by id, so that a patch of a few
// of them costs no more than they do.
function newPart({ id, kind, name, late, data }) {
  const part = { id, kind, name: name || data?.name || kind, late: late === true, data: data || {} };
  if (graphs.has(kind)) {
    part.data = {};
    for (const list of Object.keys(lists)) part[list] = new Map();
    patchGraph(part, data || {});
  }
  return part;
}

function patchGraph(part, data) {
  for (const [name, value] of Object.entries(data)) {
    if (!(name in lists) && !name.startsWith("gone")) part.data[name] = value;
  }
  for (const [list, [key, gone]] of Object.entries(lists)) {
    for (const k of data[gone] || []) part[list].delete(k);
    for (const change of data[list] || []) {
      const old = part[list].get(change[key]);
      if (old === undefined) part[list].set(change[key], change);
      else merge(old, change);
    }
  }
}

// merge takes over the fields of a change. null is a field that is left out now.
function merge(into, change) {
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete into[name];
    else into[name] = value;
  }
}
