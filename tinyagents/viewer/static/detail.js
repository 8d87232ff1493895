// What is beside the tree: messages, cells, events and commands of the run that is selected.

import { button, copyButton, fill, h } from "./dom.js";
import { dollars, duration, moment, plural, visible } from "./format.js";
import { get } from "./api.js";
import { EventList } from "./events.js";
import { Transcript } from "./transcript.js";
import { askCard } from "./inbox.js";
import { mark } from "./marking.js";
import { steerForm } from "./actions.js";

const TABS = [["messages", "Messages"], ["cells", "Cells"], ["events", "Events"], ["steer", "Steer"], ["facts", "Facts"]];
const MESSAGE_PAGE = 200;
const LIVE_PAGES = 10;
const CELLS = "code.*,tool.*,subagent.started";

export class Detail {
  /** @param page the page of the tree: its store, and what links lead to */
  constructor(page) {
    this.page = page;
    this.tab = "messages";
    this.row = null;
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "About this run", onkeydown: (event) => this.key(event) });
    this.head = h("div", { class: "detail-head" });
    this.body = h("div", { class: "detail-body", role: "tabpanel", tabindex: "0" });
    this.node = h("section", { class: "detail", "aria-label": "The selected run" }, this.head, this.tabs, this.body);
    this.isLoading = false;
  }

  show(row, tab = this.tab) {
    this.row = row;
    this.tab = TABS.some(([name]) => name === tab) ? tab : "messages";
    this.drawHead();
    this.drawTabs();
    this.open();
  }

  drawHead() {
    const { row, page } = this;
    const below = page.store.children[row.n].length;
    this.line ??= h("span", {});
    this.line.textContent = `${page.store.statusOf(row)}, ${duration(page.store.secondsOf(row))}, ${plural(row.turns, "turn")}, ${dollars(row.usd, row.unpriced)} its own${below ? `, ${dollars(row.tree_usd, row.tree_unpriced)} with ${plural(below, "child run")}` : ""} `;
    const text = [row.n, below > 0, page.store.focus].join(" ");
    if (this.headText === text) return;
    this.headText = text;
    const above = [];
    for (let at = row.parent; at >= 0; at = page.store.rows[at].parent) above.unshift(page.store.rows[at]);
    fill(this.head,
      h("nav", { class: "crumbs", "aria-label": "Runs above" },
        above.slice(-6).map((each) => [button(visible(each.name), () => page.tree.show(each.n), { class: "link" }), h("span", { "aria-hidden": "true" }, " › ")]),
        h("strong", {}, visible(row.name))),
      h("p", { class: "muted" }, this.line,
        below ? button(page.store.focus === row.n ? "Show all" : "Only this branch", () => page.focusOn(page.store.focus === row.n ? -1 : row.n), { class: "small quiet" }) : null));
  }

  drawTabs() {
    const shown = TABS.filter(([name]) => name !== "steer" || !this.page.isReadOnly);
    fill(this.tabs, shown.map(([name, label]) => h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-selected": String(name === this.tab), tabindex: name === this.tab ? "0" : "-1",
      onclick: () => this.choose(name),
    }, label)));
    this.body.setAttribute("aria-labelledby", `tab-${this.tab}`);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const names = [...this.tabs.children];
    const at = names.findIndex((node) => node.getAttribute("aria-selected") === "true");
    names[(at + step + names.length) % names.length].click();
    this.tabs.querySelector("[aria-selected=true]").focus();
  }

  choose(tab) {
    this.page.remember({ tab: tab === "messages" ? "" : tab });
    this.show(this.row, tab);
  }

  open() {
    this.events?.close();
    this.events = null;
    this.transcript = null;
    fill(this.body);
    this.body.scrollTop = 0;
    const { row, page } = this;
    if (this.tab === "events") {
      this.events = new EventList(page.run, row.path, page.store.kinds, { seq: (seq) => page.remember({ seq }), fork: page.forks() });
      this.body.append(this.events.node);
      return this.events.reload();
    }
    if (this.tab === "steer") return this.body.append(steerForm(page.run, row.path));
    if (this.tab === "facts") return this.body.append(this.facts());
    return this.openMessages();
  }

  async openMessages() {
    const hear = {
      path: (path) => this.page.showPath(path), fork: (event) => this.fork(event),
      seq: (seq) => this.page.showEvent(this.row, seq),
    };
    this.transcript = new Transcript(hear, !this.page.isReadOnly, this.tab === "cells");
    this.next = 0;
    this.asks = h("div", { class: "inbox" });
    this.more = button("More", () => this.load(), { class: "more" });
    this.more.hidden = true;
    this.body.append(this.asks, this.transcript.node, this.more);
    this.drawAsks();
    await this.load();
    // Of a run that is under way what is new is wanted, which is at the end.
    for (let page = 1; page < LIVE_PAGES && !this.more.hidden && this.row.status === "running"; page += 1) await this.load();
    await this.find();
  }

  /** Show where the words stand that are searched for. */
  async find() {
    const { words, hits } = this.page.store;
    const { transcript, row } = this;
    const seq = hits.get(row.n)?.[1];
    if (!transcript) return;
    mark(transcript.node, words);
    if (seq === undefined || !words.length) return;
    while (transcript === this.transcript && this.next <= seq && !this.more.hidden) await this.load();
    if (transcript !== this.transcript) return;
    const first = mark(transcript.node, words);
    (transcript.node.querySelector(`#event-${seq}`) || first)?.scrollIntoView({ block: "center" });
  }

  /** Read on, as far as one page. */
  async load() {
    const { transcript, row } = this;
    if (this.isLoading === row) {
      this.isWanted = true;
      return;
    }
    this.isLoading = row;
    try {
      const isAtEnd = this.body.scrollTop > 0 && this.body.scrollTop + this.body.clientHeight >= this.body.scrollHeight - 40;
      const kinds = this.tab === "cells" ? CELLS : "";
      const found = await get("events", { run: this.page.run, path: row.path, kinds, since: this.next, limit: MESSAGE_PAGE, deltas: "new" });
      if (transcript !== this.transcript) return;
      const { left } = found;
      this.empty?.remove();
      transcript.add(found.events);
      this.next = found.events.length ? found.events.at(-1).seq + 1 : this.next;
      this.more.hidden = left === 0;
      this.more.textContent = `${left.toLocaleString()} more events`;
      if (this.tab === "cells" && !left && !transcript.node.childElementCount) {
        this.empty = h("p", { class: "empty" }, "No code was run here.");
        this.body.append(this.empty);
      }
      if (left && found.events.at(-1)?.kind === "model.delta") this.isWanted = true; // the rest of what is being written
      if (isAtEnd) this.body.scrollTop = this.body.scrollHeight;
    } finally {
      if (this.isLoading === row) this.isLoading = null;
    }
    if (this.isWanted) {
      this.isWanted = false;
      await this.load();
    }
  }

  /** The run has gone on. */
  grow(row) {
    this.row = row;
    this.drawHead();
    if (this.events) this.events.grow();
    else if (this.transcript && (this.more.hidden || row.status === "running")) this.load();
    else if (this.tab === "facts") fill(this.body, this.facts());
  }

  drawAsks() {
    if (!this.asks) return;
    const open = (this.page.app.asks || []).filter((ask) => ask.run_id === this.page.run && ask.path === this.row.path);
    const keys = new Set(open.map((ask) => `${ask.run_id} ${ask.id}`));
    for (const node of [...this.asks.children]) if (!keys.has(node.dataset.ask) && !node.querySelector(".outcome")?.textContent) node.remove();
    for (const ask of open) {
      const known = [...this.asks.children].some((node) => node.dataset.ask === `${ask.run_id} ${ask.id}`);
      if (!known) this.asks.append(askCard(ask, this.page.app.about, false));
    }
  }

  async fork(event) {
    const whole = event.is_cut ? await get("event", { run: this.page.run, seq: event.seq }) : event;
    this.page.forks()(whole);
  }

  facts() {
    const { row, page } = this;
    const pairs = {
      Path: row.path, Kind: row.kind, Status: page.store.statusOf(row), Model: row.model, Task: row.task,
      "What came of it": row.doing, Began: moment(row.started), Ended: row.ended === null ? "" : moment(row.ended),
      Took: duration(page.store.secondsOf(row)), Turns: row.turns, Calls: row.calls, Failures: row.failures,
      "Tokens, its own": row.tokens.toLocaleString(), "Tokens, whole branch": row.tree_tokens.toLocaleString(),
      "Cost, its own": dollars(row.usd, row.unpriced), "Cost, whole branch": dollars(row.tree_usd, row.tree_unpriced),
      Events: `${row.n_events.toLocaleString()}, #${row.first} to #${row.last}`,
    };
    return h("div", {}, h("dl", { class: "facts-list" }, Object.entries(pairs).filter(([, given]) => given !== "").map(([name, given]) => [h("dt", {}, name), h("dd", {}, visible(String(given)))])),
      h("p", { class: "row" }, copyButton(row.path, "Copy path"), copyButton(location.href, "Copy link")));
  }

  close() {
    this.events?.close();
  }
}
