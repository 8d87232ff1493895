// What a human can do to a run: steer it, fork it. Each says what became of it.

import { announce, button, copyButton, h } from "./dom.js";
import { post } from "./api.js";
import { address } from "./router.js";
import { asText, visible } from "./format.js";

const COMMANDS = [
  ["inject", "Tell it something", "A message before its next model call"],
  ["redirect", "Redirect", "A new instruction, which stands above its task"],
  ["pause", "Pause", "Park it and all below it; their clocks stop"],
  ["resume", "Go on", "Go on after a pause"],
  ["cancel", "Cancel", "Cancel it and all below it"],
  ["metadata", "Set metadata", "A JSON object"],
];
const NEEDS_TEXT = new Set(["inject", "redirect", "metadata"]);

/** Send a command, and say what became of it in `out`. */
export async function sendCommand(run, to, command, text, out) {
  const body = { run, to, command };
  if (command === "metadata") body.metadata = JSON.parse(text);
  else if (text) body.text = text;
  out.replaceChildren("Sending…");
  const said = await post("steer", body);
  const lines = said.outcomes.map((each) => `${each.command || command} ${each.to}: ${each.status}${each.step ? ` at ${each.step}` : ""}${each.status === "received" ? " (it takes hold before the next model call)" : ""}${each.reason && each.status !== "received" ? `: ${each.reason}` : ""}`);
  if (!said.is_live) lines.push("No process has the run: the command is kept until somebody resumes it.");
  else if (!lines.length) lines.push("The command is kept; its process has not taken it yet.");
  out.replaceChildren(...lines.map((line) => h("p", {}, visible(line))));
  announce(lines.join(". "));
}

/** Do something that may be refused, and say so in `out`. */
export async function attempt(out, act) {
  try {
    await act();
  } catch (error) {
    out.replaceChildren(h("p", { class: "trouble" }, visible(error.message)));
    announce(error.message);
  }
}

export function steerForm(run, path) {
  const out = h("div", { class: "outcome", role: "status" });
  const text = h("textarea", { rows: 4, "aria-label": "What to say", name: "text" });
  const hint = h("p", { class: "muted" }, COMMANDS[0][2]);
  const choice = h("select", {
    "aria-label": "Command", name: "command", onchange: () => {
      const command = COMMANDS.find(([kind]) => kind === choice.value);
      hint.textContent = command[2];
      text.hidden = choice.value === "resume";
    },
  }, COMMANDS.map(([kind, label]) => h("option", { value: kind }, label)));
  return h("form", {
    class: "form steer", onsubmit: (event) => {
      event.preventDefault();
      if (NEEDS_TEXT.has(choice.value) && !text.value.trim()) {
        text.focus();
        out.replaceChildren(h("p", { class: "trouble" }, "Say what."));
        return;
      }
      attempt(out, async () => {
        await sendCommand(run, path === "root" ? "" : path, choice.value, text.value.trim(), out);
        text.value = "";
      });
    },
  },
  h("p", {}, "To ", h("code", {}, visible(path))),
  h("div", { class: "row" }, choice, h("button", { type: "submit", class: "primary" }, "Send")), hint, text, out);
}

/** A dialog; Escape closes it, and where the focus was it goes back to. */
export function dialog(title, ...body) {
  const before = document.activeElement;
  const node = h("dialog", { "aria-label": title, onclose: () => { node.remove(); before?.focus?.(); } },
    h("header", {}, h("h2", {}, title), button("Close", () => node.close(), { class: "quiet small" })), body);
  document.body.append(node);
  node.showModal();
  return node;
}

const EDITABLE = new Set(["tool.completed", "tool.failed", "model.completed", "ask.answered", "steer.received", "node.completed"]);

/** Whether a fork may say something else at this event. */
export function canEdit(event) {
  return EDITABLE.has(event.kind) || (event.kind === "checkpoint.saved" && Boolean(event.data?.has_task));
}

function editableText(event) {
  const data = event.data || {};
  if (!canEdit(event)) return "";
  if (event.kind === "checkpoint.saved") return asText(data.messages?.at(-1)?.content);
  if (event.kind === "model.completed") return (data.message?.parts || []).filter((part) => part.type === "text").map((part) => part.text).join("");
  if (event.kind.startsWith("tool.")) return asText(data.content);
  if (event.kind === "node.completed") return asText(data.update);
  if (event.kind === "steer.received") return asText(data.message ?? data.instruction);
  return asText(data.value ?? data.verdict ?? "");
}

/** Make a run that has the past of this one up to an event, which may say something else. */
export function forkDialog(run, event, option) {
  const out = h("div", { class: "outcome", role: "status" });
  const before = editableText(event);
  const text = h("textarea", { rows: 8, "aria-label": "What that event says instead", name: "edit" });
  text.value = before;
  const isJson = h("input", { type: "checkbox", name: "json" });
  isJson.checked = event.kind === "node.completed";
  const form = h("form", {
    class: "form", onsubmit: (submitted) => {
      submitted.preventDefault();
      attempt(out, async () => {
        const body = { run, at: event.seq };
        if (text.value !== before) body.edit = isJson.checked ? JSON.parse(text.value) : text.value;
        const made = await post("fork", body);
        const command = `tinyagents resume ${made.run_id}${option}`;
        out.replaceChildren(
          h("p", {}, "Made ", h("a", { href: address("run", made.run_id), onclick: () => shown.close() }, made.run_id), ". To go on with it:"),
          h("p", { class: "row" }, h("code", {}, command), copyButton(command)));
        announce(`made ${made.run_id}`);
      });
    },
  },
  h("p", {}, `The new run shares everything up to event #${event.seq} (${event.kind}). ${canEdit(event) ? "What that event says can be changed; what" : "What"} rests on nothing that is different is not done again.`),
  canEdit(event) ? [text, h("label", { class: "row" }, isJson, "This is JSON")] : null,
  h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Fork")), out);
  const shown = dialog(`Fork at #${event.seq}`, form);
  text.focus();
}
