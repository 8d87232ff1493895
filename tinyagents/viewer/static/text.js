// What models and tools wrote, as text: code apart from prose, and what is long folded.

import { button, h } from "./dom.js";
import { asText, visible } from "./format.js";

const FOLD_LINES = 24;
const FOLD_CHARS = 2400;
const FENCE = /^```([^\n`]*)\n([\s\S]*?)(?:^```[ \t]*$|(?![\s\S]))/gm;

/** A text that is folded if it is long, with a button to see all of it. */
export function folded(text, props, lines = FOLD_LINES, tag = "pre") {
  const whole = visible(text);
  const isLong = whole.length > FOLD_CHARS || whole.split("\n", lines + 1).length > lines;
  if (!isLong) return h(tag, props, whole);
  const short = `${whole.split("\n").slice(0, lines).join("\n").slice(0, FOLD_CHARS)}…`;
  const body = h(tag, props, short);
  const more = button(`Show all (${whole.length.toLocaleString()} characters)`, () => {
    const isOpen = more.getAttribute("aria-expanded") === "true";
    body.textContent = isOpen ? short : whole;
    more.setAttribute("aria-expanded", String(!isOpen));
    more.textContent = isOpen ? `Show all (${whole.length.toLocaleString()} characters)` : "Show less";
  }, { class: "more", "aria-expanded": "false" });
  return h("div", {}, body, more);
}

/** Prose with blocks of code in it. Nothing else of Markdown is read: what is written, stands there. */
export function prose(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(FENCE)) {
    if (found.index > at) parts.push(folded(text.slice(at, found.index).trim(), { class: "prose" }, 60, "div"));
    parts.push(code(found[2].replace(/\n$/, ""), found[1].trim()));
    at = found.index + found[0].length;
  }
  if (at < text.length) parts.push(folded(text.slice(at).trim(), { class: "prose" }, 60, "div"));
  return parts;
}

export function code(text, language = "") {
  return h("div", { class: "code" },
    h("div", { class: "code-head" }, h("span", {}, visible(language || "code"))),
    folded(text, { class: "mono" }, 40));
}

/** A value: a text as it is, JSON laid out. A text that is JSON, or has code in it, is laid out as well. */
export function value(given, lines = 14) {
  let shown = given;
  if (typeof given === "string" && /^```/m.test(given)) return prose(given);
  if (typeof given === "string" && /^\s*[[{]/.test(given) && given.length < 200_000) {
    try {
      shown = JSON.parse(given);
    } catch {
      shown = given; // it only looks like JSON
    }
  }
  return folded(asText(shown), { class: "mono" }, lines);
}

/** The arguments of a call, one a line. */
export function argumentsOf(given) {
  if (given === null || typeof given !== "object" || Array.isArray(given)) return value(given);
  const names = Object.keys(given);
  if (!names.length) return h("p", { class: "muted" }, "no arguments");
  return h("dl", { class: "arguments" }, names.map((name) => [
    h("dt", {}, visible(name)), h("dd", {}, folded(asText(given[name]), { class: "mono" }, 14)),
  ]));
}

const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/** A part of a message that is no text. What lies elsewhere is named, and never fetched. */
export function media(part) {
  if (part.type === "image" && part.data && IMAGES.has(part.media_type)) {
    const data = part.data.replace(/-/g, "+").replace(/_/g, "/");
    return h("img", { class: "picture", alt: "image in the message", src: `data:${part.media_type};base64,${data}` });
  }
  if (part.url) return h("p", { class: "muted" }, `${part.type} at ${visible(part.url)} (not loaded)`);
  return h("p", { class: "muted" }, `${part.type} ${part.media_type || ""} (${(part.data || "").length.toLocaleString()} characters of base64)`);
}

/** The content of a message: a text, or parts. */
export function content(given) {
  if (typeof given === "string") return prose(given);
  if (!Array.isArray(given)) return value(given);
  return given.map((part) => (part && part.type === "text" ? prose(part.text || "") : media(part || {})));
}
