// The questions that wait for a human, of all runs; each can be answered where it stands.

import { announce, button, fill, h } from "./dom.js";
import { ago, duration, visible } from "./format.js";
import { post } from "./api.js";
import { address } from "./router.js";
import { argumentsOf, prose } from "./text.js";
import { attempt } from "./actions.js";

/** One question, with what can be said to it. */
export function askCard(ask, about, withRun = true) {
  const out = h("div", { class: "outcome", role: "status" });
  const isCall = ask.what === "approval";
  const title = isCall ? ["Wants to call ", h("code", {}, visible(ask.tool || "?"))] : visible(ask.question || "Asks");
  const facts = h("p", { class: "muted" },
    withRun ? [h("a", { href: address("run", ask.run_id, { at: ask.path }) }, visible(ask.run_id)), " "] : null,
    h("code", {}, visible(ask.path)), `, ${ago(ask.raised)}`,
    ask.expires_at ? `, expires in ${duration(ask.expires_at - Date.now() / 1000)}` : "");
  const card = h("article", { class: "card is-ask ask", "data-ask": `${ask.run_id} ${ask.id}`, "aria-label": isCall ? `Wants to call ${visible(ask.tool || "?")}` : visible(ask.question || "Asks") },
    h("header", {}, h("h2", {}, title)), h("div", { class: "card-body" }, facts,
      isCall && ask.question ? h("p", { class: "prose" }, visible(ask.question)) : null,
      ask.reasoning ? h("blockquote", {}, prose(ask.reasoning)) : null,
      ask.tool ? argumentsOf(ask.arguments) : null,
      about.is_read_only ? null : form(ask, out, about.option), out));
  return card;
}

function form(ask, out, option) {
  const reason = h("input", { type: "text", name: "reason", placeholder: "Reason (optional)", "aria-label": "Reason" });
  const answer = (body) => attempt(out, async () => {
    out.replaceChildren("Sending…"); // a card with an outcome stays, though the question is no longer open
    const said = await post("answer", { run: ask.run_id, ask: ask.id, reason: reason.value, ...body });
    const done = said.is_taken
      ? `Answered. ${said.is_live ? "It goes on." : "No process has the run; to go on:"}`
      : `Somebody was quicker${said.by ? ` (${said.by})` : ""}: that stands.`;
    out.replaceChildren(h("p", {}, visible(done)), said.is_taken && !said.is_live ? h("code", {}, `tinyagents resume ${visible(ask.run_id)}${option}`) : "");
    for (const node of out.parentElement.querySelectorAll("form button")) node.disabled = true;
    announce(done);
  });
  if (ask.answer === "yes_no") return yesOrNo(ask, answer, reason);
  const text = h("textarea", { rows: 3, name: "value", "aria-label": ask.answer === "json" ? "Answer, as JSON" : "Answer" });
  return h("form", {
    class: "form", onsubmit: (event) => {
      event.preventDefault();
      attempt(out, () => answer({ verdict: "answer", value: ask.answer === "json" ? JSON.parse(text.value) : text.value }));
    },
  }, text, h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Answer"), ask.answer === "json" ? h("span", { class: "muted" }, "as JSON") : null));
}

function yesOrNo(ask, answer, reason) {
  const edit = h("textarea", { rows: 6, hidden: true, name: "arguments", "aria-label": "Arguments, as JSON" });
  edit.value = JSON.stringify(ask.arguments ?? {}, null, 2);
  const result = h("textarea", { rows: 3, name: "result", "aria-label": "What came of it" });
  const yes = h("button", { type: "submit", class: "primary" }, ask.what === "doubt" ? "Make it again" : "Approve");
  const node = h("form", {
    class: "form", onsubmit: (event) => {
      event.preventDefault();
      const body = edit.hidden ? { verdict: "approve" } : changed(edit);
      if (body) answer(body);
    },
  }, edit, reason, h("div", { class: "row" }, yes,
    button(ask.what === "doubt" ? "It failed" : "Reject", () => answer({ verdict: "reject" }), { class: "danger" }),
    ask.what === "approval" ? button("Edit arguments", () => { edit.hidden = !edit.hidden; if (!edit.hidden) edit.focus(); }) : null),
  ask.what === "doubt" ? [result, h("div", { class: "row" }, button("This came of it", () => answer({ verdict: "answer", value: result.value })))] : null);
  return node;
}

function changed(edit) {
  try {
    return { verdict: "approve", arguments: JSON.parse(edit.value) };
  } catch (error) {
    edit.setCustomValidity(`This is no JSON: ${error.message}`);
    edit.reportValidity();
    edit.addEventListener("input", () => edit.setCustomValidity(""), { once: true });
    return null;
  }
}

/** The page of all questions. */
export class InboxPage {
  constructor(main, app) {
    this.app = app;
    this.list = h("div", { class: "inbox" });
    fill(main, h("section", { class: "page narrow" }, h("h1", { tabindex: "-1" }, "Inbox"), this.list));
    this.shown = new Set();
    this.hearAsks(app.asks);
  }

  /** New questions are added; what somebody is about to answer is left as it is. */
  hearAsks(asks) {
    if (!asks) return;
    const keys = new Set(asks.map((ask) => `${ask.run_id} ${ask.id}`));
    for (const node of [...this.list.querySelectorAll("article")]) {
      const isAnswered = node.querySelector(".outcome")?.textContent;
      if (!keys.has(node.dataset.ask) && !isAnswered) node.remove();
    }
    for (const ask of asks) {
      const key = `${ask.run_id} ${ask.id}`;
      if (!this.shown.has(key)) this.list.append(askCard(ask, this.app.about));
      this.shown.add(key);
    }
    this.list.querySelector(".empty")?.remove();
    if (!this.list.childElementCount) this.list.append(h("p", { class: "empty" }, "No question is open."));
  }

  close() {}
}
