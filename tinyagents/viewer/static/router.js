// Addresses: `#/what/id?key=value`. Everything that can be looked at has one.

export function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [what = "", ...rest] = path.split("/");
  return { what: what || "runs", id: decodeURIComponent(rest.join("/")), query: new URLSearchParams(query) };
}

export function address(what, id = "", query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const tail = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${what}${id ? `/${encodeURIComponent(id)}` : ""}${tail}`;
}

/** Change a part of the address without a step in the history, and without a reload of the page. */
export function amend(changes) {
  const { what, id, query } = route();
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null) query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(null, "", address(what, id, Object.fromEntries(query)));
}
