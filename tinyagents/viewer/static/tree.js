// The tree of runs: rows that unfold, with figures beside them, or with their time as bars.

import { announce, h } from "./dom.js";
import { STATUS, dollars, duration, plural, tokens, visible } from "./format.js";
import { get } from "./api.js";
import { VirtualList } from "./virtual.js";

const TREE_ROW = 26;
const HEADS = {
  tree: [["Run", "began", "c-run"], ["Now", "", "c-now"], ["Turns", "", "c-num"], ["Tokens", "tokens", "c-num"], ["Cost", "cost", "c-num"], ["Time", "time", "c-num"]],
  timeline: [["Run", "began", "c-run"], ["", "", "c-bar"], ["Time", "time", "c-num"]],
};

export class RunTree {
  /**
   * @param store the runs
   * @param run id of the tree
   * @param hear `{select(row), open(row)}`
   */
  constructor(store, run, hear) {
    this.store = store;
    this.run = run;
    this.hear = hear;
    this.mode = "tree";
    this.selected = 0;
    this.critical = new Set();
    this.spans = new Map();
    this.head = h("div", { class: "tree-head", role: "row" });
    this.box = h("div", { class: "tree-body", role: "rowgroup" });
    this.node = h("div", {
      class: "tree", role: "treegrid", tabindex: "0", "aria-label": "Runs",
      onkeydown: (event) => this.key(event),
    }, this.head, this.box);
    this.list = new VirtualList(this.box, TREE_ROW, (index) => this.row(index));
    this.list.onDrawn = (first, end) => this.fetchSpans(first, end);
  }

  setMode(mode) {
    this.mode = mode;
    this.node.dataset.mode = mode;
    this.refresh();
  }

  refresh() {
    const shown = this.store.visible();
    this.critical = this.mode === "timeline" ? this.store.critical() : new Set();
    this.node.setAttribute("aria-rowcount", shown.length + 1);
    this.drawHead();
    this.list.refresh(shown.length);
    this.mark();
  }

  drawHead() {
    const text = `${this.mode} ${this.store.order}`;
    if (this.axisLong) this.axisLong.textContent = this.long();
    if (this.headText === text) return; // somebody may be about to press a button of it
    this.headText = text;
    const focused = this.head.contains(document.activeElement) ? document.activeElement.dataset.order : null;
    this.axisLong = null;
    this.head.replaceChildren(...HEADS[this.mode].map(([label, order, name]) => {
      const sorts = order && this.store.order === order;
      return h("div", { class: `cell ${name}`, role: "columnheader", "aria-sort": sorts && order !== "began" ? "descending" : null },
        order ? h("button", { type: "button", "data-order": order, onclick: () => this.sort(order), title: `Sort by ${order}` }, label, sorts && order !== "began" ? " ▾" : "") : label,
        name === "c-bar" ? this.axis() : null);
    }));
    if (focused) this.head.querySelector(`[data-order=${focused}]`)?.focus();
  }

  long() {
    return duration(this.store.range[1] - this.store.range[0]);
  }

  /** From when to when, and what the colours mean. */
  axis() {
    this.axisLong = h("span", {}, this.long());
    return [
      h("span", {}, "0s"),
      h("span", { class: "legend" }, ["model", "tool", "node"].map((what) => [h("span", { class: `key is-${what}`, "aria-hidden": "true" }), what]), h("span", { class: "key is-critical-key", "aria-hidden": "true" }), "critical path"),
      this.axisLong,
    ];
  }

  sort(order) {
    this.store.set({ order });
    announce(`sorted by ${order}`);
    this.refresh();
  }

  row(index) {
    const { store } = this;
    const row = store.rows[store.visible()[index]];
    const status = store.statusOf(row);
    const below = store.children[row.n];
    const isOpen = below.length ? store.isFiltered || store.open.has(row.n) : null;
    const depth = store.depthOf(row.n);
    const siblings = row.parent >= 0 ? store.children[row.parent] : [row.n];
    const classes = ["tree-row", `is-${status.replace(" ", "-")}`];
    if (row.n === this.selected) classes.push("is-selected");
    if (this.critical.has(row.n)) classes.push("is-critical");
    return h("div", {
      class: classes.join(" "), role: "row", id: `run-${row.n}`,
      "aria-level": depth + 1, "aria-rowindex": index + 2, "aria-expanded": isOpen === null ? null : String(isOpen),
      "aria-selected": String(row.n === this.selected),
      "aria-setsize": siblings.length, "aria-posinset": siblings.length < 500 ? siblings.indexOf(row.n) + 1 : null,
      onclick: () => this.select(row.n), ondblclick: () => this.toggle(row.n),
    },
    h("div", { class: "cell c-run", role: "gridcell", style: { paddingLeft: `${8 + Math.min(depth, 24) * 16}px` } },
      h("span", {
        class: `twisty${below.length ? "" : " none"}`, "aria-hidden": "true",
        onclick: (event) => { event.stopPropagation(); this.toggle(row.n); },
      }, below.length ? (isOpen ? "▾" : "▸") : ""),
      h("span", { class: "status", title: status }, h("span", { class: "icon", "aria-hidden": "true" }, STATUS[status]?.[0] ?? "?"), h("span", { class: "sr" }, status)),
      h("span", { class: "name" }, visible(row.name)),
      row.asks ? h("span", { class: "badge ask" }, row.asks === 1 ? "asks" : `${row.asks} ask`) : null,
      store.hits.has(row.n) ? h("span", { class: "badge hits", title: "events with these words" }, plural(store.hits.get(row.n)[0], "hit")) : null,
      !isOpen && below.length ? h("span", { class: "count" }, `+${below.length.toLocaleString()}`) : null,
      h("span", { class: "task", title: row.task }, visible(row.task))),
    this.mode === "tree" ? this.figures(row, status) : this.bar(row));
  }

  figures(row, status) {
    const { store } = this;
    const sums = store.children[row.n].length > 0;
    const cell = (text, title) => h("div", { class: "cell c-num", role: "gridcell", title }, text);
    return [
      h("div", { class: "cell c-now", role: "gridcell", title: row.doing }, visible(row.doing)),
      cell(row.turns || "", `${plural(row.turns, "turn")}, ${plural(row.calls, "call")}${row.failures ? `, ${plural(row.failures, "failure")}` : ""}`),
      cell(tokens(row.tree_tokens), sums ? `${row.tokens.toLocaleString()} its own, ${row.tree_tokens.toLocaleString()} with the runs below it` : `${row.tokens.toLocaleString()} tokens`),
      cell(dollars(row.tree_usd, row.tree_unpriced), sums ? `${dollars(row.usd, row.unpriced)} its own, with the runs below it ${dollars(row.tree_usd, row.tree_unpriced)}` : null),
      cell(duration(store.secondsOf(row)), status),
    ];
  }

  bar(row) {
    const { store } = this;
    const [start, end] = store.range;
    const place = (from, until) => ({
      left: `${Math.max(0, (from - start) / (end - start) * 100)}%`,
      width: `${Math.max(0, (Math.min(until, end) - Math.max(from, start)) / (end - start) * 100)}%`,
    });
    const until = store.endOf(row);
    const spans = (this.spans.get(row.n)?.spans || []).slice(0, 300);
    const label = `${row.name}: from ${duration(row.started - start)} to ${duration(until - start)}, ${duration(until - row.started)}`;
    return [h("div", { class: "cell c-bar", role: "gridcell", "aria-label": label, title: `${label}, ${dollars(row.tree_usd, row.tree_unpriced)}` },
      h("div", { class: "bar", style: place(row.started, until) }),
      spans.map(([what, name, from, ended, , isBad]) => h("div", {
        class: `span is-${what}${isBad ? " is-bad" : ""}`, style: place(from, ended ?? until), title: `${what} ${name} ${duration((ended ?? until) - from)}`,
      }))), h("div", { class: "cell c-num", role: "gridcell" }, duration(until - row.started))];
  }

  /** Calls of the runs that can be seen: fetched when they are, and again when they have changed. */
  async fetchSpans(first, end) {
    if (this.mode !== "timeline" || this.isFetching) return;
    const shown = this.store.visible().slice(first, end);
    const wanted = shown.filter((n) => this.spans.get(n)?.last !== this.store.rows[n].last);
    if (!wanted.length) return;
    for (const n of wanted) this.spans.set(n, { last: this.store.rows[n].last, spans: this.spans.get(n)?.spans || [] });
    this.isFetching = true;
    try {
      const { spans } = await get("spans", { run: this.run, rows: wanted.join(",") });
      for (const [n, found] of Object.entries(spans)) this.spans.get(Number(n)).spans = found;
    } finally {
      this.isFetching = false;
    }
    this.list.refresh();
  }

  // --- moving about ----------

  mark() {
    this.node.setAttribute("aria-activedescendant", `run-${this.selected}`);
  }

  select(n, isQuiet = false) {
    this.selected = n;
    this.list.refresh();
    this.mark();
    if (!isQuiet) this.hear.select(this.store.rows[n]);
  }

  /** Unfold what is above a run, bring it into view, and select it. */
  show(n) {
    if (!this.store.visible().includes(n)) {
      if (this.store.isFiltered) this.store.set({ text: "", statuses: new Set(), hits: new Map() });
      this.store.reveal(n);
      this.refresh();
    }
    this.list.scrollTo(this.store.visible().indexOf(n), "center");
    this.select(n);
  }

  toggle(n, isOpen) {
    if (!this.store.children[n].length) return;
    this.store.toggle(n, isOpen);
    this.refresh();
  }

  key(event) {
    if (event.target !== this.node) return; // a button of the head
    const shown = this.store.visible();
    const at = Math.max(0, shown.indexOf(this.selected));
    const move = (index) => {
      const to = Math.min(Math.max(index, 0), shown.length - 1);
      this.list.scrollTo(to);
      this.select(shown[to]);
    };
    const row = this.store.rows[this.selected];
    const isOpen = this.store.open.has(this.selected);
    const keys = {
      ArrowDown: () => move(at + 1),
      ArrowUp: () => move(at - 1),
      Home: () => move(0),
      End: () => move(shown.length - 1),
      PageDown: () => move(at + this.list.pageSize),
      PageUp: () => move(at - this.list.pageSize),
      ArrowRight: () => (isOpen || !this.store.children[row.n].length ? move(at + 1) : this.toggle(row.n, true)),
      ArrowLeft: () => (isOpen && this.store.children[row.n].length ? this.toggle(row.n, false) : row.parent >= 0 && move(Math.max(0, shown.indexOf(row.parent)))),
      "*": () => { for (const n of row.parent >= 0 ? this.store.children[row.parent] : [row.n]) this.store.toggle(n, true); this.refresh(); },
      Enter: () => this.hear.open(row),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }
}
