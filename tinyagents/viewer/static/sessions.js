// Sessions: talks over several turns, each turn a run.

import { fill, h } from "./dom.js";
import { STATUS, ago, dollars, duration, plural, tokens, visible } from "./format.js";
import { get } from "./api.js";
import { address } from "./router.js";
import { content, media, prose } from "./text.js";

export class SessionsPage {
  constructor(main) {
    this.main = main;
  }

  async open() {
    const { sessions } = await get("sessions");
    fill(this.main, h("section", { class: "page narrow" }, h("h1", { tabindex: "-1" }, "Sessions"),
      sessions.length ? h("table", { class: "table" },
        h("thead", {}, h("tr", {}, ["Session", "Agent", "Turns", "Tokens", "Cost", "Last"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, sessions.map((each) => h("tr", {},
          h("th", { scope: "row" }, h("a", { href: address("session", each.name) }, visible(each.name))), h("td", {}, visible(each.agent)),
          h("td", {}, each.turns), h("td", {}, tokens(each.tokens)), h("td", {}, dollars(each.usd)), h("td", {}, ago(each.updated))))))
        : h("p", { class: "empty" }, "No session is kept here. A chat with --session NAME keeps one.")));
  }

  close() {}
}

export class SessionPage {
  constructor(main, app, id) {
    Object.assign(this, { main, name: id });
  }

  async open() {
    const found = await get("session", { name: this.name });
    fill(this.main, h("section", { class: "page narrow" }, h("h1", { tabindex: "-1" }, "Session ", visible(found.name)),
      h("h2", {}, plural(found.turns.length, "turn")),
      h("ol", { class: "turns" }, found.turns.map((turn) => h("li", {},
        h("a", { href: address("run", turn.run_id) }, `${STATUS[turn.status]?.[0] ?? ""} ${visible(turn.task)}`),
        h("span", { class: "muted" }, ` ${turn.status}, ${tokens(turn.tokens)} tokens, ${dollars(turn.usd, turn.unpriced)}, ${duration(turn.updated - turn.created)}`)))),
      h("h2", {}, "What was said"),
      h("div", { class: "transcript" }, found.transcript.length ? found.transcript.map((message) => this.message(message)) : h("p", { class: "empty" }, "Nothing is saved yet."))));
  }

  message(message) {
    const part = (each) => (each.type === "text" ? prose(each.text)
      : each.type === "tool_call" ? h("p", {}, "Call ", h("code", {}, visible(each.name)))
        : each.type === "thinking" ? h("details", { class: "thinking" }, h("summary", {}, "Thinking"), prose(each.text || "")) : media(each));
    const title = { user: "User", assistant: "Assistant", system: "Instructions", tool: "Tool" }[message.role] || message.role;
    return h("article", { class: `card is-${message.role}`, "aria-label": title }, h("header", {}, h("span", { class: "role" }, title)),
      h("div", { class: "card-body" }, message.parts ? message.parts.map(part) : content(message.content)));
  }

  close() {}
}
