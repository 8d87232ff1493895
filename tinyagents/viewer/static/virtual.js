// A list of which only what can be seen is drawn.

import { perFrame } from "./dom.js";

const OVERSCAN = 12;

export class VirtualList {
  /**
   * @param box the element that scrolls
   * @param rowHeight in pixels; every row has it
   * @param draw makes the element of a row by its index
   */
  constructor(box, rowHeight, draw) {
    this.box = box;
    this.rowHeight = rowHeight;
    this.draw = draw;
    this.count = 0;
    this.drawn = new Map();
    this.space = document.createElement("div");
    this.space.className = "space";
    this.space.setAttribute("role", "presentation");
    box.append(this.space);
    this.later = perFrame(() => this.update(false));
    box.addEventListener("scroll", this.later, { passive: true });
    this.watcher = new ResizeObserver(this.later);
    this.watcher.observe(box);
  }

  /** Draw again what can be seen, after the rows have changed. */
  refresh(count = this.count) {
    this.count = count;
    this.space.style.height = `${count * this.rowHeight}px`;
    this.update(true);
  }

  update(isNew) {
    const top = this.box.scrollTop;
    const first = Math.max(0, Math.floor(top / this.rowHeight) - OVERSCAN);
    const end = Math.min(this.count, Math.ceil((top + this.box.clientHeight) / this.rowHeight) + OVERSCAN);
    for (const [index, node] of this.drawn) {
      if (isNew || index < first || index >= end) {
        node.remove();
        this.drawn.delete(index);
      }
    }
    for (let index = first; index < end; index += 1) {
      if (this.drawn.has(index)) continue;
      const node = this.draw(index);
      node.style.transform = `translateY(${index * this.rowHeight}px)`;
      this.drawn.set(index, node);
      this.space.append(node);
    }
    this.onDrawn?.(first, end);
  }

  scrollTo(index, block = "nearest") {
    const top = index * this.rowHeight;
    const { scrollTop, clientHeight } = this.box;
    if (block === "center") this.box.scrollTop = top - clientHeight / 2;
    else if (top < scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.box.scrollTop = top + this.rowHeight - clientHeight;
    this.update(false);
  }

  get pageSize() {
    return Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight) - 1);
  }

  close() {
    this.watcher.disconnect();
  }
}
