// The graph of a run: drawn by the server, and the same as a table.

import { fill, h } from "./dom.js";
import { dollars, duration, tokens, visible } from "./format.js";
import { get, pictureAddress } from "./api.js";

export class GraphView {
  /** @param hear `{node(name)}`: what is done when somebody chooses a node */
  constructor(run, hear) {
    this.run = run;
    this.hear = hear;
    this.path = "";
    this.node = h("div", { class: "graph" });
  }

  async load() {
    const found = await get("graph", { run: this.run, path: this.path });
    const isDeclared = found.path !== "";
    fill(this.node,
      h("div", { class: "toolbar" },
        found.graphs.length > 1 ? h("select", { "aria-label": "Graph", onchange: (event) => { this.path = event.target.value; this.load(); } },
          found.graphs.map((path) => h("option", { value: path, selected: path === found.path }, visible(path)))) : null,
        h("span", { class: "muted" }, isDeclared
          ? `the declared graph of ${found.path}, with the run on it; what it did not come to is pale`
          : "who delegated to whom; the run has no graph of its own")),
      h("div", { class: "graph-body" },
        h("div", { class: "picture-box" }, h("img", { src: pictureAddress(this.run, found.path), alt: `The graph as a drawing; the table says the same.` })),
        h("table", { class: "table" },
          h("thead", {}, h("tr", {}, ["Node", isDeclared ? "Visits" : "Runs", "Failed", "Time", "Tokens", "Cost"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, found.nodes.map((node) => h("tr", { class: node.is_critical ? "is-critical" : null },
            h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => this.hear.node(node.name.split("/").at(-1)) }, visible(node.name)), node.is_critical ? h("span", { class: "muted" }, " critical") : null),
            h("td", {}, node.visits), h("td", {}, node.failures || ""), h("td", {}, duration(node.seconds)), h("td", {}, tokens(node.tokens)), h("td", {}, dollars(node.usd))))))));
  }
}
