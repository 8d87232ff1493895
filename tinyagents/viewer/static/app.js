// The frame around every page: where one is, what waits, and how to get elsewhere.

import { announce, button, fill, h } from "./dom.js";
import { get, isExport, listen } from "./api.js";
import { address, route } from "./router.js";
import { visible } from "./format.js";
import { dialog } from "./actions.js";
import { ComparePage } from "./compare.js";
import { InboxPage } from "./inbox.js";
import { RunPage } from "./run.js";
import { RunsPage } from "./runs.js";
import { SessionPage, SessionsPage } from "./sessions.js";

const PAGES = { runs: RunsPage, run: RunPage, inbox: InboxPage, sessions: SessionsPage, session: SessionPage, compare: ComparePage };
const OWN_STREAM = new Set(["runs", "run"]);
const KEYS = [
  ["/", "search"], ["?", "this help"], ["↑ ↓ Home End", "move in a list"], ["→ ←", "unfold, fold, to the run above"],
  ["*", "unfold all beside it"], ["Enter", "open; in the tree, to the messages"], ["1 2 3 4", "tree, timeline, graph, events"],
  ["g r, g i, g s", "runs, inbox, sessions"], ["Esc", "clear the search, close a dialog"],
];

class App {
  constructor(root) {
    this.asks = [];
    this.badge = h("span", { class: "badge", hidden: true });
    this.state = h("span", { class: "state", role: "status" });
    this.bar = h("div", { class: "trouble-bar", role: "alert", hidden: true });
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.links = ["runs", "inbox", "sessions"].map((name) => h("a", { href: address(name), "data-page": name }, name[0].toUpperCase() + name.slice(1), name === "inbox" ? [" ", this.badge] : null));
    this.where = h("span", { class: "muted where" });
    const theme = button("◐", () => this.turn(), { class: "quiet", title: "Light, dark, or as the system", "aria-label": "Theme" });
    fill(root,
      h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); this.main.focus(); } }, "Skip to the page"),
      h("header", { class: "top" }, h("strong", { class: "brand" }, "tinyagents"), isExport ? null : h("nav", { "aria-label": "Pages" }, this.links), h("span", { class: "grow" }), this.where, this.state, theme, button("?", () => this.help(), { class: "quiet", title: "Keys", "aria-label": "Help" })),
      this.bar, this.main, h("div", { id: "live", class: "sr", role: "status", "aria-live": "polite" }));
    addEventListener("hashchange", () => this.go());
    addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.trouble(event.reason?.message || String(event.reason));
    });
    addEventListener("keydown", (event) => this.key(event));
    this.dress();
  }

  async start() {
    try {
      this.about = await get("about");
    } catch (error) {
      this.trouble(error.message);
      return;
    }
    this.where.textContent = `${visible(this.about.title)}${this.about.is_read_only ? " · read only" : ""}`;
    if (isExport && route().what !== "run") location.hash = address("run", this.about.title);
    else await this.go();
  }

  async go() {
    const { what, id, query } = route();
    const key = `${what}/${id}/${what === "compare" ? query : ""}`;
    if (key === this.at) {
      this.page?.revisit?.(query);
      return;
    }
    this.at = key;
    this.page?.close();
    this.stopListening?.();
    this.trouble("");
    const Page = PAGES[what] || RunsPage;
    for (const link of this.links) {
      if (link.dataset.page === what || (what === "run" && link.dataset.page === "runs")) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${what} · tinyagents`;
    const page = new Page(this.main, this, id, query);
    this.page = page;
    try {
      await page.open?.();
      if (this.page !== page) {
        page.close();
        return;
      }
      if (!OWN_STREAM.has(what)) this.listenForAsks();
      this.main.querySelector("h1")?.focus({ preventScroll: true });
    } catch (error) {
      if (this.page !== page) return;
      fill(this.main, h("section", { class: "page narrow" }, h("h1", { tabindex: "-1" }, "This cannot be shown"), h("p", { class: "trouble" }, visible(error.message)), h("p", {}, h("a", { href: address("runs") }, "To the runs"))));
      announce(error.message);
    }
  }

  listenForAsks() {
    this.stopListening = listen(() => ({}), { asks: ({ asks }) => this.hearAsks(asks), state: (state) => this.setState(state), trouble: ({ message }) => this.trouble(message) });
  }

  hearAsks(asks) {
    if (asks.length > this.asks.length) announce(`${asks.length} to answer`);
    this.asks = asks;
    this.badge.hidden = !asks.length;
    this.badge.textContent = asks.length;
    this.page?.hearAsks?.(asks);
  }

  setState(state) {
    this.state.textContent = state === "live" ? "● live" : "○ reconnecting…";
    this.state.dataset.state = state;
    if (state === "lost") {
      get("about").then(() => this.trouble(""), (error) => this.trouble(`The viewer does not answer: ${error.message}`));
    } else this.trouble("");
  }

  trouble(message) {
    this.bar.hidden = !message;
    this.bar.textContent = message ? visible(message) : "";
  }

  turn() {
    const next = { "": "light", light: "dark", dark: "" }[localStorage.getItem("theme") || ""];
    localStorage.setItem("theme", next);
    this.dress();
    announce(next ? `${next} theme` : "theme of the system");
  }

  dress() {
    const theme = localStorage.getItem("theme") || "";
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  help() {
    dialog("Keys", h("dl", { class: "facts-list" }, KEYS.map(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)])));
  }

  key(event) {
    const isTyping = event.target.matches?.("input, textarea, select") || document.querySelector("dialog[open]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const hasG = Date.now() - (this.g || 0) < 1000;
    this.g = event.key === "g" ? Date.now() : 0;
    const pages = { r: "runs", i: "inbox", s: "sessions" };
    if (hasG && pages[event.key] && !isExport) location.hash = address(pages[event.key]);
    else if (event.key === "/") this.main.querySelector("input[type=search]")?.focus();
    else if (event.key === "?") this.help();
    else if ("1234".includes(event.key) && this.page?.tabs) this.page.tabs.children[Number(event.key) - 1].click();
    else return;
    event.preventDefault();
  }
}

new App(document.getElementById("app")).start();
