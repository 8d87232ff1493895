// What the server says. In an exported file there is none: the same answers come from the file.

const HIDDEN_MS = 5000;
const holder = document.getElementById("embedded");
const embedded = holder ? JSON.parse(holder.textContent) : null;
export const isExport = embedded !== null;
if (holder) holder.remove();

export async function get(what, query = {}) {
  if (isExport) return answerFrom(embedded, what, query);
  const response = await fetch(`api/${what}?${new URLSearchParams(query)}`, { cache: "no-store" });
  return answered(response);
}

export async function post(what, body) {
  return answered(await fetch(`api/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-tinyagents": "1" },
    body: JSON.stringify(body),
  }));
}

async function answered(response) {
  const text = await response.text();
  let said;
  try {
    said = JSON.parse(text);
  } catch {
    throw new Error(text.trim() || `the viewer answered ${response.status}`);
  }
  if (!response.ok) throw new Error(said.error || `the viewer answered ${response.status}`);
  return said;
}

export function pictureAddress(run, path) {
  if (!isExport) return `api/graph.svg?${new URLSearchParams({ run, path })}`;
  return `data:image/svg+xml;charset=utf-8,${encodeURIComponent(embedded.picture)}`;
}

/**
 * Be told what is new.
 * @param query called before each connection: what to watch, and since when
 * @param hear by name of the message, what to do with it; `state` hears "live" or "lost"
 * @returns a function that ends it
 */
export function listen(query, hear) {
  if (isExport) return () => {};
  let source = null;
  let again = 0;
  let isOver = false;
  const open = () => {
    clearTimeout(again);
    source = new EventSource(`api/stream?${new URLSearchParams(query())}`);
    source.onopen = () => hear.state?.("live");
    for (const name of Object.keys(hear)) {
      if (name !== "state") source.addEventListener(name, (event) => hear[name](JSON.parse(event.data)));
    }
    source.onerror = () => {
      source.close();
      if (isOver) return;
      hear.state?.("lost");
      again = setTimeout(open, 1000);
    };
  };
  // A browser has six connections to a host for all its tabs: one that nobody sees gives up its own.
  const look = () => {
    clearTimeout(again);
    if (document.hidden) again = setTimeout(() => { source.close(); source = null; }, HIDDEN_MS);
    else if (source === null || source.readyState === EventSource.CLOSED) open();
  };
  document.addEventListener("visibilitychange", look);
  open();
  return () => {
    isOver = true;
    clearTimeout(again);
    document.removeEventListener("visibilitychange", look);
    source?.close();
  };
}

function answerFrom(all, what, query) {
  if (what === "about") return all.about;
  if (what === "tree") return all.tree;
  if (what === "trees") return { trees: [all.tree.tree], asks: [] };
  if (what === "graph") return all.graph;
  if (what === "spans") {
    return { spans: Object.fromEntries(query.rows.split(",").map((n) => [n, all.spans[n] || []])) };
  }
  if (what === "search") return { rows: hitsIn(all, query.q.toLowerCase().split(/\s+/).filter(Boolean)), is_behind: false };
  if (what === "event") return all.events.find((event) => event.seq === Number(query.seq));
  if (what === "events") {
    const kinds = (query.kinds || "").split(",").filter(Boolean);
    const since = Number(query.since || 0);
    const found = all.events.filter((event) => event.seq >= since
      && (!query.path || event.path === query.path)
      && (query.deltas !== "new" || event.kind !== "model.delta")
      && (!kinds.length || kinds.some((kind) => event.kind === kind || (kind.endsWith(".*") && event.kind.startsWith(kind.slice(0, -1))))));
    const offset = Number(query.offset || 0);
    const limit = Number(query.limit || 200);
    return { total: found.length, left: Math.max(found.length - offset - limit, 0), offset, events: found.slice(offset, offset + limit) };
  }
  throw new Error("this is a file: it has one run, and nothing else");
}

/** The same answer as of the server, from the events of a file. */
function hitsIn(all, words) {
  const rows = new Map(all.tree.rows.map(([n, path]) => [path, n]));
  const found = new Map();
  for (const event of all.events) {
    if (event.kind === "model.delta" || !words.length) continue;
    const text = (JSON.stringify(event.data) || "").toLowerCase();
    if (!words.every((word) => text.includes(JSON.stringify(word).slice(1, -1)))) continue;
    const n = rows.get(event.path);
    if (n === undefined) continue;
    const known = found.get(n) || [n, 0, event.seq];
    known[1] += 1;
    found.set(n, known);
  }
  return [...found.values()];
}
