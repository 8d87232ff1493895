// Two trees, step by step: where they part, and what each came to.

import { fill, h } from "./dom.js";
import { dollars, plural, tokens, visible } from "./format.js";
import { get } from "./api.js";
import { address } from "./router.js";
import { value } from "./text.js";

export class ComparePage {
  constructor(main, app, id, query) {
    Object.assign(this, { main, a: query.get("a") || "", b: query.get("b") || "", isAll: false });
  }

  async open() {
    const { trees } = await get("trees");
    const choose = (name, chosen) => h("label", { class: "row" }, name.toUpperCase(), h("select", {
      "aria-label": `Run ${name}`, onchange: (event) => { location.hash = address("compare", "", { a: this.a, b: this.b, [name]: event.target.value }); },
    }, h("option", { value: "" }, "Choose a run"), trees.map((tree) => h("option", { value: tree.run_id, selected: tree.run_id === chosen }, `${visible(tree.name)} ${visible(tree.run_id)}`))));
    this.body = h("div", { class: "compare" });
    fill(this.main, h("section", { class: "page" }, h("div", { class: "toolbar" }, h("h1", { tabindex: "-1" }, "Compare"), choose("a", this.a), choose("b", this.b)), this.body));
    if (this.a && this.b) {
      this.found = await get("compare", { a: this.a, b: this.b });
      this.draw();
    } else fill(this.body, h("p", { class: "empty" }, "Choose two runs: a fork and what it came from, or any others."));
  }

  draw() {
    const { found } = this;
    const changed = found.steps.filter((step) => step.change !== "same");
    const shown = this.isAll ? found.steps : changed;
    const spent = (usage) => `${tokens((usage.input_tokens || 0) + (usage.output_tokens || 0))} tokens, ${dollars(usage.usd, usage.unpriced_requests)}`;
    const toggle = h("input", { type: "checkbox", onchange: () => { this.isAll = toggle.checked; this.draw(); } });
    toggle.checked = this.isAll;
    const side = (run, seq, given) => h("td", {}, seq === null ? h("span", { class: "muted" }, "not there") : [
      h("a", { class: "muted", href: address("run", run, { view: "events", seq }) }, `#${seq}`), value(given, 8)]);
    fill(this.body,
      h("p", { class: "row" }, changed.length ? `${changed.length} of ${plural(found.n_steps, "step")} differ` : `They did the same, in ${plural(found.n_steps, "step")}`,
        h("label", { class: "row" }, toggle, "Show the same ones, too")),
      h("table", { class: "table diff" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Step"), h("th", { scope: "col" }, visible(found.a), h("div", { class: "muted" }, spent(found.usage_a))), h("th", { scope: "col" }, visible(found.b), h("div", { class: "muted" }, spent(found.usage_b))))),
        h("tbody", {}, shown.slice(0, 500).map((step) => h("tr", { class: `is-${step.change.replaceAll(" ", "-")}` },
          h("th", { scope: "row" }, h("span", { class: "muted" }, `${step.change} `), step.kind, " ", h("code", {}, visible(step.address))),
          side(found.a, step.seq_a, step.a), side(found.b, step.seq_b, step.b))))),
      shown.length > 500 ? h("p", { class: "muted" }, `${(shown.length - 500).toLocaleString()} more steps differ`) : null);
  }

  close() {}
}
