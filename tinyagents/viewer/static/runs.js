// The page of all trees: searched, filtered, sorted.

import { announce, fill, h, perFrame } from "./dom.js";
import { STATUS, ago, dollars, duration, moment, plural, tokens, visible } from "./format.js";
import { get, listen } from "./api.js";
import { address, amend } from "./router.js";
import { VirtualList } from "./virtual.js";

const RUN_ROW = 30;
const SORTS = {
  time: (tree) => -tree.updated,
  cost: (tree) => -tree.usd,
  tokens: (tree) => -tree.tokens,
  took: (tree) => -(tree.updated - tree.created),
  status: (tree) => Object.keys(STATUS).indexOf(tree.status),
  name: (tree) => tree.name,
};
const RUN_HEADS = [["Status", "status"], ["Run", "name"], ["Task", ""], ["Tokens", "tokens"], ["Cost", "cost"], ["Took", "took"], ["When", "time"]];

export class RunsPage {
  constructor(main, app, id, query) {
    this.app = app;
    this.trees = new Map();
    this.at = 0;
    this.order = query.get("sort") || "time";
    this.status = query.get("status") || "";
    this.input = h("input", { type: "search", class: "search", placeholder: "Search  ( / )", "aria-label": "Search runs", value: query.get("q") || "", oninput: () => this.filtered(), onkeydown: (event) => this.fromSearch(event) });
    this.choice = h("select", { "aria-label": "Status", onchange: () => this.filtered() }, h("option", { value: "" }, "Any status"), Object.keys(STATUS).map((status) => h("option", { value: status, selected: status === this.status }, status)));
    this.count = h("span", { class: "muted", role: "status" });
    this.head = h("div", { class: "runs-row runs-head", role: "row" });
    this.box = h("div", { class: "runs-body", role: "rowgroup" });
    this.grid = h("div", { class: "runs", role: "grid", tabindex: "0", "aria-label": "Runs", onkeydown: (event) => this.key(event) }, this.head, this.box);
    fill(main, h("section", { class: "page" }, h("div", { class: "toolbar" }, h("h1", { tabindex: "-1" }, "Runs"), this.input, this.choice, this.count), this.grid));
    this.list = new VirtualList(this.box, RUN_ROW, (index) => this.row(index));
    this.redraw = perFrame(() => this.draw());
  }

  async open() {
    const found = await get("trees");
    for (const tree of found.trees) this.trees.set(tree.run_id, tree);
    this.app.hearAsks(found.asks);
    this.draw();
    this.stop = listen(() => ({}), {
      trees: ({ trees, gone }) => {
        for (const tree of trees) this.trees.set(tree.run_id, tree);
        for (const id of gone) this.trees.delete(id);
        this.app.trouble("");
        this.redraw();
      },
      asks: ({ asks }) => this.app.hearAsks(asks), state: (state) => this.app.setState(state),
      trouble: ({ message }) => this.app.trouble(message),
    });
  }

  filtered() {
    amend({ q: this.input.value.trim(), status: this.choice.value, sort: this.order === "time" ? "" : this.order });
    this.at = 0;
    this.draw();
    announce(plural(this.shown.length, "run"));
  }

  draw() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = this.choice.value;
    const key = SORTS[this.order];
    this.shown = [...this.trees.values()].filter((tree) => (!status || tree.status === status)
      && words.every((word) => `${tree.run_id} ${tree.name} ${tree.task} ${tree.status}`.toLowerCase().includes(word)))
      .sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    this.drawHead();
    this.count.textContent = this.shown.length === this.trees.size ? plural(this.trees.size, "run") : `${this.shown.length.toLocaleString()} of ${plural(this.trees.size, "run")}`;
    this.grid.setAttribute("aria-rowcount", this.shown.length + 1);
    this.grid.setAttribute("aria-activedescendant", `tree-${this.at}`);
    this.list.refresh(this.shown.length);
  }

  drawHead() {
    if (this.headOrder === this.order) return; // somebody may be about to press a button of it
    this.headOrder = this.order;
    fill(this.head, RUN_HEADS.map(([label, order]) => h("div", { class: "cell", role: "columnheader", "aria-sort": order && order === this.order ? "descending" : null },
      order ? h("button", { type: "button", "data-order": order, onclick: () => this.sort(order) }, label, order === this.order ? " ▾" : "") : label)));
  }

  sort(order) {
    this.order = order;
    this.filtered();
    this.head.querySelector(`[data-order=${order}]`).focus();
  }

  row(index) {
    const tree = this.shown[index];
    const asks = (this.app.asks || []).filter((ask) => ask.run_id === tree.run_id).length;
    return h("a", {
      class: `runs-row is-${tree.status.replace(" ", "-")}${index === this.at ? " is-selected" : ""}`, role: "row", id: `tree-${index}`, tabindex: "-1",
      "aria-rowindex": index + 2, href: address("run", tree.run_id), "aria-selected": String(index === this.at),
    },
    h("span", { class: "cell", role: "gridcell" }, h("span", { class: "status" }, h("span", { class: "icon", "aria-hidden": "true" }, STATUS[tree.status]?.[0] ?? "?"), ` ${tree.status} `), asks ? h("span", { class: "badge ask" }, asks === 1 ? "asks" : `${asks} ask`) : null),
    h("span", { class: "cell", role: "gridcell" }, h("strong", {}, visible(tree.name || tree.run_id)), " ", h("code", { class: "muted" }, visible(tree.run_id))),
    h("span", { class: "cell", role: "gridcell", title: tree.task }, visible(tree.task)),
    h("span", { class: "cell num", role: "gridcell" }, tree.tokens ? tokens(tree.tokens) : ""),
    h("span", { class: "cell num", role: "gridcell" }, tree.tokens || tree.usd ? dollars(tree.usd, tree.unpriced) : ""),
    h("span", { class: "cell num", role: "gridcell" }, duration(tree.updated - tree.created)),
    h("span", { class: "cell num", role: "gridcell", title: moment(tree.updated) }, ago(tree.updated)));
  }

  fromSearch(event) {
    if (event.key === "Escape") { this.input.value = ""; this.filtered(); }
    if (event.key === "ArrowDown") { event.preventDefault(); this.grid.focus(); }
    if (event.key === "Enter" && this.shown.length) location.hash = address("run", this.shown[this.at].run_id);
  }

  key(event) {
    if (event.target !== this.grid) return; // a button of the head
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: this.list.pageSize, PageUp: -this.list.pageSize, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Enter" && this.shown[this.at]) location.hash = address("run", this.shown[this.at].run_id);
    if (step === undefined || !this.shown.length) return;
    event.preventDefault();
    this.at = Math.min(Math.max(this.at + step, 0), this.shown.length - 1);
    this.list.scrollTo(this.at);
    this.draw();
  }

  hearAsks() {
    if (this.shown) this.redraw();
  }

  close() {
    this.stop?.();
    this.list.close();
  }
}
