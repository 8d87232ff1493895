// Elements, made from data. Text is always text: nothing here, or anywhere else, reads HTML.

/**
 * An element. In `props`, `on…` are listeners, `style` an object, `class` and the rest attributes;
 * what is null, undefined or false is left out.
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

/** Children of any kind: elements, texts, lists of both; nothing for null and false. */
export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** A button. */
export function button(label, onclick, props) {
  return h("button", { type: "button", onclick, ...props }, label);
}

/** A button that copies a text, and says that it did. */
export function copyButton(text, label = "Copy") {
  const node = button(label, async () => {
    await navigator.clipboard.writeText(text);
    node.textContent = "Copied";
    announce("Copied");
  }, { class: "small" });
  return node;
}

/** Tell somebody who cannot see it. Politely, and not too often: the last one of a moment wins. */
let announcing = 0;
export function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    const region = document.getElementById("live");
    if (region) region.textContent = text;
  }, 150);
}

/** Calls `f` at the next frame, however often it is asked to until then. */
export function perFrame(f) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; f(); });
  };
}
