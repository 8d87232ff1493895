// The page of one tree: its runs, its time, its graph, its events, and one run beside them.

import { announce, button, copyButton, fill, h, perFrame } from "./dom.js";
import { STATUS, ago, dollars, duration, plural, tokens, visible } from "./format.js";
import { get, isExport, listen, post } from "./api.js";
import { address, amend } from "./router.js";
import { Detail } from "./detail.js";
import { EventList } from "./events.js";
import { GraphView } from "./graph.js";
import { RunTree } from "./tree.js";
import { TreeStore } from "./store.js";
import { attempt, forkDialog, sendCommand } from "./actions.js";

const VIEWS = [["tree", "Tree"], ["timeline", "Timeline"], ["graph", "Graph"], ["events", "Events"]];
const LIVE_MS = 1000;
const FIND_MS = 200;

export class RunPage {
  constructor(main, app, id, query) {
    Object.assign(this, { main, app, run: id, query, view: query.get("view") || "tree" });
    this.isReadOnly = app.about.is_read_only;
    this.closers = [];
    fill(main, h("section", { class: "page" }, h("p", { class: "muted", role: "status" }, "Opening…")));
  }

  async open() {
    const found = await get("tree", { run: this.run });
    this.run = found.tree.run_id;
    this.store = new TreeStore(found.columns);
    this.store.set({ tree: found.tree, kinds: found.kinds, seq: found.seq });
    this.store.apply(found.rows);
    this.build();
    const at = this.store.byPath.get(this.query.get("at") || "root") ?? 0;
    if (this.store.rows.length) this.select(at);
    this.setView(this.view);
    this.closers.push(listen(() => ({ run: this.run, since: this.store.seq }), {
      rows: (said) => this.hearRows(said), tree: ({ tree }) => this.hearTree(tree),
      asks: ({ asks }) => this.app.hearAsks(asks), state: (state) => this.app.setState(state),
      trouble: ({ message }) => this.app.trouble(message),
    }));
    const clock = setInterval(() => {
      if (!this.store.tree.is_live || document.hidden) return;
      if (this.store.text && this.foundAt !== this.store.seq && !this.isFinding) this.guarded(this.find());
      this.redraw();
    }, LIVE_MS);
    this.closers.push(() => clearInterval(clock));
  }

  build() {
    this.tree = new RunTree(this.store, this.run, {
      select: (row) => this.select(row.n, true), open: () => this.detail.body.focus(),
    });
    this.detail = new Detail(this);
    this.graph = new GraphView(this.run, { node: (name) => this.search(name) });
    this.events = new EventList(this.run, "", this.store.kinds, { seq: (seq) => this.remember({ seq }), fork: this.forks() });
    this.head = h("header", { class: "run-head" });
    this.out = h("div", { class: "outcome", role: "status" });
    this.tools = this.toolbar();
    this.left = h("div", { class: "left" });
    this.split = h("div", { class: "split" }, this.left, this.handle(), this.detail.node);
    this.redraw = perFrame(() => { this.drawHead(); this.drawCount(); this.tree.refresh(); });
    fill(this.main, h("section", { class: "page run-page" }, this.head, this.out, this.tools, this.split));
    this.drawHead();
  }

  /** What makes a fork at an event, if that may be done. */
  forks() {
    return this.isReadOnly ? null : (event) => forkDialog(this.run, event, this.app.about.option);
  }

  toolbar() {
    this.input = h("input", {
      type: "search", class: "search", placeholder: "Search runs and messages  ( / )", "aria-label": "Search runs and messages",
      oninput: () => this.typed(),
      onkeydown: (event) => { if (event.key === "Escape") this.search(""); if (event.key === "ArrowDown") { event.preventDefault(); this.tree.node.focus(); } },
    });
    this.count = h("span", { class: "muted count-line" });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Status" });
    this.tabs = h("div", { class: "views", role: "group", "aria-label": "View" }, VIEWS.map(([name, label]) =>
      button(label, () => { this.remember({ view: name === "tree" ? "" : name }); this.setView(name); }, { "data-view": name })));
    const jump = (label, find) => button(label, () => {
      const row = find();
      if (row) this.tree.show(row.n);
      else announce("there is none");
    }, { class: "quiet small" });
    const failed = () => this.store.rows.find((row) => row && row.status === "failed" && !this.store.children[row.n].some((n) => this.store.rows[n].status === "failed"));
    return h("div", { class: "toolbar" }, this.tabs, this.input, this.chips, this.count, h("span", { class: "grow" }),
      h("div", { class: "row jumps", role: "group", "aria-label": "Go to" }, h("span", { class: "muted", "aria-hidden": "true" }, "Go to"), jump("first failure", failed),
        jump("slowest", () => this.store.most((row) => (row.parent < 0 ? null : this.store.secondsOf(row)))),
        jump("costliest", () => this.store.most((row) => row.usd || row.tokens / 1e9))));
  }

  /** The border between tree and detail can be moved, also by keys. */
  handle() {
    let width = 46;
    const set = (next) => {
      width = Math.min(Math.max(next, 20), 75);
      this.split.style.gridTemplateColumns = `minmax(0, 1fr) 6px minmax(0, ${width}%)`;
      node.setAttribute("aria-valuenow", Math.round(100 - width));
    };
    const node = h("div", {
      class: "handle", role: "separator", "aria-orientation": "vertical", tabindex: "0", "aria-label": "Width of the tree", "aria-valuenow": 54,
      onkeydown: (event) => { if (event.key === "ArrowLeft") set(width + 2); if (event.key === "ArrowRight") set(width - 2); },
      onpointerdown: (event) => { node.setPointerCapture(event.pointerId); },
      onpointermove: (event) => { if (node.hasPointerCapture(event.pointerId)) { const box = this.split.getBoundingClientRect(); set((box.right - event.clientX) / box.width * 100); } },
    });
    return node;
  }

  drawHead() {
    const { tree, rows } = this.store;
    const root = rows[0];
    const status = tree.status;
    document.title = `${STATUS[status]?.[0] ?? ""} ${tree.name} · ${tree.run_id}`;
    const facts = root ? [plural(rows.length, "run"), plural(this.store.seq, "event"), `${tokens(root.tree_tokens)} tokens`, dollars(root.tree_usd, root.tree_unpriced), duration(this.store.secondsOf(root))] : [];
    this.totals ??= h("span", { class: "totals" });
    this.totals.textContent = facts.join(" · ");
    // The rest stays as it is while it says the same: somebody may be about to press a button of it.
    const text = JSON.stringify([status, tree.name, tree.task, tree.is_live]);
    if (this.headText === text) return;
    this.headText = text;
    const asked = (label, command, props) => button(label, () => attempt(this.out, () => sendCommand(this.run, "", command, "", this.out)), props);
    const isOpen = ["running", "paused", "cut off"].includes(status);
    fill(this.head,
      h("div", { class: "run-title" },
        h("h1", { tabindex: "-1" }, visible(tree.name || tree.run_id)),
        h("span", { class: `status-chip is-${status.replace(" ", "-")}` }, h("span", { "aria-hidden": "true" }, STATUS[status]?.[0] ?? "?"), ` ${status}`),
        h("code", { class: "muted" }, visible(tree.run_id)),
        tree.forked_from ? h("span", { class: "muted" }, "fork of ", h("a", { href: address("run", tree.forked_from[0]) }, visible(tree.forked_from[0])), ` at #${tree.forked_from[1]}`) : null,
        tree.session ? h("a", { href: address("session", tree.session) }, `session ${visible(tree.session)}`) : null,
        h("span", { class: "grow" }),
        this.totals),
      h("div", { class: "run-actions" },
        h("p", { class: "run-task", title: tree.task }, visible(tree.task)),
        !this.isReadOnly && isOpen ? [tree.is_live ? [asked("Pause", "pause"), asked("Go on", "resume")] : null, button("Cancel run", () => this.cancel(), { class: "danger" })] : null,
        tree.is_live ? null : status !== "completed" ? copyButton(`tinyagents resume ${tree.run_id}${this.app.about.option}`, "Copy resume command") : null,
        isExport ? null : [h("a", { class: "button", href: address("compare", "", { a: this.run }) }, "Compare"), h("a", { class: "button", href: `api/export?${new URLSearchParams({ run: this.run })}`, download: "" }, "Export")]));
  }

  cancel() {
    return attempt(this.out, async () => {
      this.out.replaceChildren("Cancelling…");
      const said = await post("cancel", { run: this.run });
      const text = said.status ? `It is ${said.status}.` : "It was told to stop, and has not yet.";
      this.out.replaceChildren(text);
      announce(text);
    });
  }

  drawCount() {
    const counts = this.store.counts();
    const text = JSON.stringify([counts, [...this.store.statuses]]);
    if (text !== this.chipText) {
      this.chipText = text;
      fill(this.chips, Object.keys(STATUS).filter((status) => counts[status] || this.store.statuses.has(status)).map((status) =>
        button(`${STATUS[status][0]} ${(counts[status] || 0).toLocaleString()} ${status}`, () => this.filter(status), { class: `chip is-${status.replace(" ", "-")}`, "aria-pressed": String(this.store.statuses.has(status)) })));
    }
    this.count.textContent = this.isFinding ? "searching…" : this.store.isFiltered ? `${this.store.matching.toLocaleString()} of ${this.store.rows.length.toLocaleString()}` : "";
    this.events.setKinds(this.store.kinds);
  }

  tellCount() {
    announce(plural(this.store.matching, "run"));
  }

  filter(status) {
    const statuses = new Set(this.store.statuses);
    if (!statuses.delete(status)) statuses.add(status);
    this.store.set({ statuses });
    this.redraw();
    this.tellCount();
  }

  search(text) {
    this.input.value = text;
    this.setView(this.view === "timeline" ? "timeline" : "tree");
    this.typed();
  }

  typed() {
    this.store.set({ text: this.input.value.trim(), hits: new Map() });
    this.redraw();
    if (!this.store.text) this.guarded(this.detail.find()); // nothing is marked any more
    clearTimeout(this.finding);
    this.finding = setTimeout(() => this.guarded(this.find()), FIND_MS);
  }

  /** Ask the server in which runs these words were said; what is above is known here. */
  async find() {
    const { text } = this.store;
    const isSame = () => text && text === this.store.text && !this.isClosed;
    this.foundAt = this.store.seq;
    for (let isBehind = Boolean(text); isBehind && isSame();) {
      this.isFinding = true;
      const found = await get("search", { run: this.run, q: text }).finally(() => { this.isFinding = false; });
      if (!isSame()) return;
      isBehind = this.isFinding = found.is_behind;
      this.store.set({ hits: new Map(found.rows.map(([n, count, seq]) => [n, [count, seq]])) });
      this.redraw();
    }
    this.tellCount();
    if (!this.isClosed) await this.detail.find();
  }

  focusOn(n) {
    this.store.set({ focus: n });
    if (n >= 0) this.store.toggle(n, true);
    this.redraw();
    this.detail.drawHead();
  }

  setView(view) {
    this.view = view;
    for (const node of this.tabs.children) node.setAttribute("aria-pressed", String(node.dataset.view === view));
    const isRuns = view === "tree" || view === "timeline";
    fill(this.left, isRuns ? this.tree.node : view === "graph" ? this.graph.node : this.events.node);
    this.input.disabled = !isRuns;
    if (isRuns) this.tree.setMode(view);
    else if (view === "graph") this.guarded(this.graph.load());
    else if (this.query.get("seq")) this.guarded(this.events.showSeq(Number(this.query.get("seq"))));
    else this.guarded(this.events.reload());
    this.drawCount();
  }

  guarded(promise) {
    promise.catch((error) => this.app.trouble(error.message));
  }

  remember(changes) {
    amend(changes);
  }

  /** The address says something else of the same tree: a link was followed, or the browser went back. */
  revisit(query) {
    this.query = query;
    this.setView(VIEWS.some(([name]) => name === query.get("view")) ? query.get("view") : "tree");
    const n = this.store.byPath.get(query.get("at") || "root");
    if (n !== undefined) this.select(n);
  }

  /** A run was chosen: in the tree (which knows), or by a link. */
  select(n, isKnown = false) {
    const row = this.store.rows[n];
    if (!row) return;
    if (!isKnown) {
      this.store.reveal(n);
      this.tree.refresh();
      this.tree.select(n, true);
      requestAnimationFrame(() => this.tree.list.scrollTo(Math.max(0, this.store.visible().indexOf(n)), "center"));
    }
    this.remember({ at: row.path === "root" ? "" : row.path });
    this.detail.show(row, isKnown ? this.detail.tab : this.query.get("tab") || "messages");
    const seq = this.query.get("seq");
    if (!isKnown && seq && this.detail.events && this.view !== "events") this.guarded(this.detail.events.showSeq(Number(seq)));
  }

  showPath(path) {
    const n = this.store.byPath.get(path);
    if (n === undefined) announce("that run has not begun");
    else this.tree.show(n);
  }

  showEvent(row, seq) {
    this.remember({ tab: "events", seq });
    this.detail.show(row, "events");
    this.guarded(this.detail.events.showSeq(seq));
  }

  // --- what the server tells ----------

  hearRows(said) {
    if (said.is_reset) this.store.clear();
    this.store.apply(said.rows);
    this.store.seq = said.seq;
    this.store.kinds = said.kinds;
    this.app.trouble("");
    const selected = this.store.rows[this.tree.selected];
    if (selected && this.detail.row === null) this.select(selected.n);
    else if (selected && selected.last !== this.detail.row?.last) this.detail.grow(selected);
    if (this.view === "events") this.guarded(this.events.grow());
    this.redraw();
  }

  hearTree(tree) {
    const before = this.store.tree.status;
    this.store.set({ tree });
    if (before !== tree.status) announce(`${tree.name} is ${tree.status}, ${ago(tree.updated)}`);
    this.redraw();
  }

  hearAsks() {
    this.detail?.drawAsks();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.finding);
    for (const close of this.closers) close();
    this.detail?.close();
    this.events?.close();
    this.tree?.list.close();
  }
}
