// Raw events, of a tree or of one run: a list of any length, fetched where it is looked at.

import { fill, h, perFrame } from "./dom.js";
import { clock, visible } from "./format.js";
import { get } from "./api.js";
import { VirtualList } from "./virtual.js";
import { value } from "./text.js";

const EVENT_ROW = 24;
const EVENT_PAGE = 200;

export class EventList {
  /** @param path of the run whose events are listed; empty for all of the tree */
  constructor(run, path, kinds, hear = {}) {
    Object.assign(this, { run, path, hear });
    this.kind = "";
    this.total = 0;
    this.pages = new Map();
    this.selected = -1;
    this.choice = h("select", { "aria-label": "Kind of event", onchange: () => { this.kind = this.choice.value; this.reload(); } });
    this.count = h("span", { class: "muted", role: "status" });
    this.box = h("div", { class: "event-rows", role: "listbox", tabindex: "0", "aria-label": "Events", onkeydown: (event) => this.key(event) });
    this.detail = h("div", { class: "event-detail", hidden: true });
    this.node = h("div", { class: "events" }, h("div", { class: "toolbar" }, this.choice, this.count), this.box, this.detail);
    this.list = new VirtualList(this.box, EVENT_ROW, (index) => this.row(index));
    this.redraw = perFrame(() => this.list.refresh(this.total));
    this.setKinds(kinds);
  }

  setKinds(kinds) {
    if (this.choice.childElementCount === kinds.length + 1) return;
    const now = this.choice.value;
    fill(this.choice, h("option", { value: "" }, "All kinds"), [...kinds].sort().map((kind) => h("option", { value: kind }, kind)));
    this.choice.value = now;
  }

  reload() {
    this.pages.clear();
    this.selected = -1;
    this.detail.hidden = true;
    this.box.scrollTop = 0;
    return this.fetch(0);
  }

  /** More may have come: the last page is read again. */
  async grow() {
    if (this.isGrowing) return;
    this.isGrowing = true;
    try {
      await this.readOn();
    } finally {
      this.isGrowing = false;
    }
  }

  async readOn() {
    const last = Math.max(0, Math.ceil(this.total / EVENT_PAGE) - 1);
    const isAtEnd = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 2 * EVENT_ROW;
    await this.fetch(last);
    if (isAtEnd && this.total) this.list.scrollTo(this.total - 1);
  }

  async fetch(page) {
    this.pages.set(page, this.pages.get(page) || []);
    const found = await get("events", { run: this.run, path: this.path, kinds: this.kind, offset: page * EVENT_PAGE, limit: EVENT_PAGE });
    this.pages.set(page, found.events);
    this.total = found.total;
    this.count.textContent = `${found.total.toLocaleString()} events`;
    this.redraw();
  }

  at(index) {
    const page = Math.floor(index / EVENT_PAGE);
    if (!this.pages.has(page)) this.fetch(page);
    return this.pages.get(page)?.[index % EVENT_PAGE];
  }

  row(index) {
    const event = this.at(index);
    const isSelected = index === this.selected;
    return h("div", {
      class: `event-row${isSelected ? " is-selected" : ""}`, role: "option", id: `row-${index}`, "aria-selected": String(isSelected),
      "aria-setsize": this.total, "aria-posinset": index + 1, onclick: () => this.select(index),
    }, event ? [
      h("span", { class: "seq" }, `#${event.seq}`), h("span", { class: "when" }, clock(event.time)),
      h("span", { class: `kind is-${event.kind.split(".").pop()}` }, visible(event.kind)),
      this.path ? null : h("span", { class: "path" }, visible(event.path)),
      h("span", { class: "data" }, visible(JSON.stringify(event.data).slice(0, 240))),
    ] : "…");
  }

  async select(index) {
    this.selected = index;
    this.box.setAttribute("aria-activedescendant", `row-${index}`);
    this.list.refresh();
    const event = this.at(index);
    if (!event) return;
    const whole = event.is_cut ? await get("event", { run: this.run, seq: event.seq }) : event;
    this.hear.seq?.(event.seq);
    this.detail.hidden = false;
    fill(this.detail, h("p", { class: "row" }, h("strong", {}, `#${event.seq} ${visible(event.kind)}`), h("code", {}, visible(event.path)), h("span", { class: "muted" }, new Date(event.time * 1000).toISOString()), h("span", { class: "grow" }),
      this.hear.fork ? h("button", { type: "button", class: "small", onclick: () => this.hear.fork(whole) }, "Fork here") : null),
      value(whole.data, 400));
    if (index === this.selected) this.list.scrollTo(index); // the list has got lower
  }

  /** Show an event by its number. */
  async showSeq(seq) {
    if (!this.total) await this.reload();
    if (this.path || this.kind) {
      for (let page = 0; page * EVENT_PAGE < this.total; page += 1) {
        if (!this.pages.has(page)) await this.fetch(page);
        const at = this.pages.get(page).findIndex((event) => event.seq === seq);
        if (at >= 0) return this.bring(page * EVENT_PAGE + at);
      }
      return undefined;
    }
    await this.fetch(Math.floor(seq / EVENT_PAGE));
    return this.bring(seq);
  }

  bring(index) {
    this.list.refresh(this.total);
    this.list.scrollTo(index, "center");
    return this.select(index);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: this.list.pageSize, PageUp: -this.list.pageSize, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const to = Math.min(Math.max(this.selected + step, 0), this.total - 1);
    this.list.scrollTo(to);
    this.select(to);
  }

  close() {
    this.list.close();
  }
}
