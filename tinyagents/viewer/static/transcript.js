// The messages of one run, from its events: what it was told, said, called and got.

import { append, fill, h } from "./dom.js";
import { canEdit } from "./actions.js";
import { dollars, duration, plural, tokens, visible } from "./format.js";
import { argumentsOf, code, content, folded, media, prose, value } from "./text.js";

const HIDDEN = new Set(["model.started", "graph.step.started", "graph.step.completed", "checkpoint.restored", "budget.reserved", "budget.released", "thinking", "subagent.completed", "state.updated", "run.resumed"]);
const TITLES = {
  "run.paused": "Paused", "model.retried": "The model is asked again", "model.fallback": "Another model is asked", "model.cached": "From the cache",
  "tool.retried": "The call is tried again", "tool.progress": "Progress", "node.retried": "The node is tried again", "limit.reached": "A limit was reached",
  "budget.exceeded": "The budget is spent", "subagent.failed": "The sub-agent failed", "subagent.cancelled": "The sub-agent was cancelled", "checkpoint.saved": "Saved",
};

export class Transcript {
  /**
   * @param hear `{path(path), fork(event), seq(seq)}`: what is done when somebody follows a link
   * @param canFork whether forks can be made
   * @param onlyCells whether only cells of code are shown, with what they called
   */
  constructor(hear, canFork, onlyCells = false) {
    this.hear = hear;
    this.canFork = canFork;
    this.onlyCells = onlyCells;
    this.node = h("div", { class: "transcript" });
    this.calls = new Map();
    this.within = new Map(); // what a call, a cell or a visit has in it, by its address
    this.begun = 0;
    this.writing = new Map();
  }

  add(events) {
    for (const event of events) {
      if (!this.begun) this.begun = event.time;
      const draw = DRAW[event.kind];
      if (draw) draw.call(this, event, event.data || {});
      else if (!HIDDEN.has(event.kind)) this.note(event, TITLES[event.kind] || event.kind, event.data);
    }
  }

  card(event, kind, title, ...body) {
    const role = h("span", { class: "role" }, title);
    const node = h("article", { class: `card is-${kind}`, id: `event-${event.seq}`, "data-seq": event.seq, tabindex: "-1", "aria-label": role.textContent },
      h("header", {}, role, h("span", { class: "facts" }), this.tools(event)),
      h("div", { class: "card-body" }, body));
    this.place(event).append(node);
    return node;
  }

  /** Where a card stands: a child in the call or the visit that began it, a call in its cell of code. */
  place(event) {
    const path = event.data?.path;
    if (typeof path !== "string") return this.node;
    const isOf = event.kind.startsWith("subagent.") || event.kind === "node.retried";
    return this.within.get(isOf ? path : path.slice(0, path.lastIndexOf("/"))) || this.node;
  }

  tools(event) {
    return h("span", { class: "tools" },
      event.is_cut ? h("span", { class: "muted" }, "cut") : null,
      this.canFork && canEdit(event)
        ? h("button", { type: "button", class: "small quiet", "aria-label": `Fork at #${event.seq}`, title: "A new run with this past", onclick: () => this.hear.fork(event) }, "Fork")
        : null,
      h("button", { type: "button", class: "small quiet seq", title: `Event #${event.seq}, ${duration(event.time - this.begun)} after the run began`, onclick: () => this.hear.seq(event.seq) },
        `+${duration(event.time - this.begun)} #${event.seq}`));
  }

  facts(node, ...texts) {
    node.querySelector(".facts").append(texts.filter(Boolean).join(" · "));
  }

  note(event, title, data, kind = "note") {
    const words = data && (data.reason ?? data.message ?? data.error?.message);
    const rest = data && Object.keys(data).length ? h("details", {}, h("summary", {}, "data"), value(data)) : null;
    return this.card(event, kind, visible(title), words ? h("p", { class: "prose" }, visible(String(words))) : null, rest);
  }

  // --- what events look like ----------

  task(event, data) {
    if (data.task !== undefined && !this.hasTask) {
      this.hasTask = true;
      this.taskCard = this.card(event, "user", "Task", prose(String(data.task)));
    }
  }

  checkpoint(event, data) {
    if (!Array.isArray(data.messages)) return;
    this.taskCard?.remove();
    this.taskCard = null;
    data.messages.forEach((message, at) => {
      const isTask = data.has_task && at === data.messages.length - 1;
      const title = { system: "Instructions", user: isTask ? "Task" : "User", assistant: "Assistant", tool: "Tool" }[message.role] || message.role;
      const body = message.parts ? message.parts.map((part) => this.part(part)) : content(message.content);
      const shown = message.role === "system" ? h("details", {}, h("summary", {}, "Show"), body) : body;
      this.card(event, message.role === "user" ? "user" : message.role, title, shown);
      this.hasTask = true;
    });
  }

  part(part) {
    if (part.type === "text") return prose(part.text || "");
    if (part.type === "thinking") return h("details", { class: "thinking" }, h("summary", {}, "Thinking"), folded(part.text || "", { class: "prose" }, 60, "div"));
    if (part.type === "tool_call") return null;
    return media(part);
  }

  /** The model is writing: its reply grows until it is there as a whole. */
  delta(event, data) {
    let known = this.writing.get(data.call_id);
    if (!known) {
      const text = h("div", { class: "prose" });
      const thought = h("div", { class: "prose" });
      const thinking = h("details", { class: "thinking", hidden: true, open: true }, h("summary", {}, "Thinking"), thought);
      const calling = h("p", { class: "muted", hidden: true });
      const card = this.card(event, "assistant", "Assistant", thinking, text, calling);
      card.classList.add("is-writing");
      this.facts(card, "is writing");
      known = { card, text, thought, thinking, calling, tools: new Set() };
      this.writing.set(data.call_id, known);
    }
    const piece = visible(String(data.text ?? ""));
    if (data.type === "thinking") {
      known.thinking.hidden = false;
      known.thought.append(piece);
    } else if (data.type === "tool_call") {
      known.tools.add(data.tool || data.tool_call_id);
      known.calling.hidden = false;
      known.calling.textContent = `calls ${visible([...known.tools].filter(Boolean).join(", "))}…`;
    } else known.text.append(piece);
  }

  /** What was being written is there as a whole, or is void. */
  written(callId) {
    this.writing.get(callId)?.card.remove();
    this.writing.delete(callId);
  }

  reply(event, data) {
    this.written(data.call_id);
    const parts = data.message?.parts;
    const body = Array.isArray(parts) ? parts.map((part) => this.part(part)) : value(data.message ?? data);
    const card = this.card(event, "assistant", "Assistant", body);
    const usage = data.usage || {};
    this.said = { card, text: Array.isArray(parts) ? parts.filter((part) => part.type === "text").map((part) => part.text).join("") : "" };
    this.facts(card, data.model, usage.input_tokens !== undefined && `${tokens(usage.input_tokens)} in, ${tokens(usage.output_tokens)} out`,
      usage.usd !== undefined && dollars(usage.usd, usage.unpriced_requests), data.recalled_from && "recalled");
    for (const part of Array.isArray(parts) ? parts : []) {
      if (part.type === "tool_call") this.call({ ...event, kind: "", data: { call_id: part.id, tool: part.name, arguments: part.arguments } }, part.id);
    }
  }

  call(event, callId) {
    const data = event.data || {};
    const known = this.calls.get(callId) || this.newCall(event, data, callId);
    if (event.kind) known.begun = event.time;
    if (typeof data.path === "string") this.within.set(data.path, known.within);
  }

  newCall(event, data, callId) {
    const output = h("div", { class: "output" }, h("p", { class: "muted pending" }, "no result yet"));
    const given = h("div", {}, argumentsOf(data.arguments));
    const within = h("div", { class: "within" });
    const card = this.card(event, "tool", h("span", {}, "Call ", h("code", {}, visible(String(data.tool)))), given, within, output);
    const made = { card, given, within, output, begun: event.time, isCell: false, isRun: false };
    if (this.onlyCells && this.place(event) === this.node) card.remove(); // unless code shows up in it
    this.calls.set(callId, made);
    return made;
  }

  called(event, data) {
    this.call(event, data.call_id);
  }

  result(event, data) {
    const known = this.calls.get(data.call_id);
    if (!known && this.onlyCells) return;
    const isBad = event.kind !== "tool.completed";
    const shown = data.parts ? content(data.parts) : value(data.content ?? data.errors ?? "");
    if (!known) {
      this.card(event, isBad ? "error" : "tool", `Result of ${visible(String(data.tool))}`, shown);
      return;
    }
    const head = h("div", { class: "output-head" }, h("span", {}, isBad ? `failed${data.category ? `: ${data.category}` : ""}` : known.isCell ? "output" : "result"), this.tools(event));
    if (known.isRun && !isBad) { // the cell said itself what came out of it, but for pictures
      known.output.prepend(head);
      append(known.output, data.parts ? [shown] : []);
    } else fill(known.output, head, shown);
    if (known.isCell) return;
    known.card.classList.toggle("is-error", isBad);
    this.facts(known.card, duration(event.time - known.begun));
  }

  child(event, data) {
    const link = h("button", { type: "button", class: "link", onclick: () => this.hear.path(data.path) }, visible(String(data.path)));
    const isInCall = this.place(event) !== this.node; // which has the task already
    this.card(event, "child", [event.kind === "subagent.reused" ? "Goes on with " : "Delegates to ", link],
      data.task && !isInCall ? folded(String(data.task), { class: "prose" }, 12, "div") : null);
  }

  asks(event, data) {
    this.card(event, "ask", "Asks", h("p", { class: "prose" }, visible(String(data.question || ""))),
      data.tool ? [h("p", {}, "Call ", h("code", {}, visible(data.tool))), argumentsOf(data.arguments)] : null);
  }

  answered(event, data) {
    const said = data.verdict === "answer" || data.verdict === undefined ? data.value ?? data.answer : data.verdict;
    const card = this.card(event, "user", event.kind === "ask.expired" ? "Nobody answered" : "Answer", value(said ?? data.default ?? ""),
      data.arguments ? [h("p", {}, "with these arguments instead"), argumentsOf(data.arguments)] : null,
      data.reason ? h("p", { class: "prose" }, visible(String(data.reason))) : null);
    this.facts(card, data.by && `by ${visible(String(data.by))}`);
  }

  steered(event, data) {
    const words = data.message ?? data.instruction ?? data.reason;
    const outcome = event.kind.slice(6);
    const card = this.card(event, "steer", `${visible(String(data.command || "steer"))}: ${outcome}`, words ? prose(String(words)) : null,
      data.metadata ? value(data.metadata) : null);
    this.facts(card, data.by && `by ${visible(String(data.by))}`, data.step && `at ${data.step}`);
  }

  /** Code runs: the call becomes a cell, with what the code calls in it. */
  cell(event, data) {
    const known = this.calls.get(data.call_id) || this.newCall(event, { ...data, tool: "python", arguments: {} }, data.call_id);
    if (event.kind === "code.generated") {
      known.isCell = true;
      known.card.className = "card is-cell";
      entitle(known.card, "Cell");
      fill(known.given, code(String(data.code ?? ""), "python"));
      fill(known.output, h("p", { class: "muted" }, "under way"));
      if (this.onlyCells) this.node.append(known.card);
      this.withoutCode(String(data.code ?? ""));
      return;
    }
    known.isRun = true;
    fill(known.output, data.output ? value(data.output) : h("p", { class: "muted" }, "no output"));
    known.card.classList.toggle("is-error", data.ok === false);
    this.facts(known.card, data.ok === false ? "failed" : "ok", duration(data.seconds ?? event.time - known.begun), data.n_calls ? plural(data.n_calls, "call") : "");
  }

  /** A block of code that stands in a cell is not shown twice: the reply that it came from leads there. */
  withoutCode(text) {
    for (const block of this.said?.card.querySelectorAll(".code") || []) {
      if (block.querySelector("pre")?.textContent.trim() === visible(text).trim()) block.replaceWith(h("p", { class: "muted" }, "↓ the cell"));
    }
  }

  visit(event, data) {
    if (event.kind === "node.started") {
      const output = h("div", { class: "output" }, h("p", { class: "muted" }, "under way"));
      const within = h("div", { class: "within" });
      const card = this.card(event, "node", h("span", {}, "Node ", h("code", {}, visible(String(data.node)))), within, output);
      this.within.set(data.path, within);
      this.calls.set(`node ${data.path}`, { card, output, begun: event.time });
      return;
    }
    const known = this.calls.get(`node ${data.path}`);
    const shown = data.error ? h("p", { class: "prose" }, visible(`${data.error.type}: ${data.error.message}`)) : value(data.update ?? {});
    if (!known) {
      this.card(event, data.error ? "error" : "node", visible(`Node ${data.node}`), shown);
      return;
    }
    fill(known.output, h("div", { class: "output-head" }, h("span", {}, data.error ? "failed" : "update"), this.tools(event)), shown);
    known.card.classList.toggle("is-error", Boolean(data.error));
    this.facts(known.card, duration(event.time - known.begun), data.goto ? `goes to ${data.goto}` : "");
  }

  ended(event, data) {
    if (data.error) this.card(event, "error", "Failed", h("p", { class: "prose" }, visible(`${data.error.type}: ${data.error.message}`)));
    else if (event.kind === "run.cancelled") this.note(event, "Cancelled", { reason: data.reason }, "steer");
    else if (data.status === "limited") this.note(event, `Stopped by ${data.limit}`, {}, "error");
    else if (typeof data.output === "string" && data.output && this.said?.text === data.output) {
      this.said.card.classList.add("is-output"); // it stands there already
      entitle(this.said.card, "Answer");
    } else this.card(event, "output", "Answer", typeof data.output === "string" ? prose(data.output) : value(data.output ?? null, 40));
  }
}

function entitle(card, title) {
  card.querySelector(".role").textContent = title;
  card.setAttribute("aria-label", title);
}

const P = Transcript.prototype;
const DRAW = {
  "run.started": P.task, "checkpoint.saved": P.checkpoint,
  "model.delta": P.delta, "model.completed": P.reply,
  "model.retried": function again(event, data) { this.written(data.call_id); this.note(event, TITLES[event.kind], data); },
  "model.failed": function failed(event, data) { this.written(data.call_id); this.note(event, "The model failed", data, "error"); },
  "tool.started": P.called, "tool.completed": P.result, "tool.failed": P.result, "tool.invalid": P.result, "tool.unknown": P.result,
  "subagent.started": P.child, "subagent.reused": P.child,
  "ask.raised": P.asks, "ask.answered": P.answered, "ask.expired": P.answered,
  "steer.received": P.steered, "steer.denied": P.steered, "steer.expired": P.steered,
  "steer.applied": function applied(event, data) { this.note(event, `${data.command}: applied at ${data.step}`, {}, "steer"); },
  "code.generated": P.cell, "code.executed": P.cell,
  "node.started": P.visit, "node.completed": P.visit, "node.failed": P.visit,
  "route.selected": function chosen(event, data) { this.note(event, `${data.node} leads to ${[data.to].flat().join(", ") || "nothing"}`, data.sends ? data : {}); },
  "run.completed": P.ended, "run.failed": P.ended, "run.cancelled": P.ended,
};
