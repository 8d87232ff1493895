// The runs of one tree: rows as the server folded them, put in order, filtered and unfolded.

/** @typedef {{n: number, [column: string]: any}} Row */

export class TreeStore {
  constructor(columns) {
    this.columns = columns;
    /** @type {Row[]} */
    this.rows = [];
    this.children = [];
    this.open = new Set();
    this.byPath = new Map();
    this.tree = {};
    this.kinds = [];
    this.seq = 0;
    this.text = "";
    /** By row: how often what is searched for was said in it, and the event of the first time. */
    this.hits = new Map();
    this.statuses = new Set();
    this.order = "began";
    this.focus = -1;
    this.last = 0;
    this.hasOpened = false;
    this.shown = null;
  }

  /** Take in rows, new or changed. */
  apply(lists) {
    for (const [n, ...values] of lists) {
      const row = { n };
      this.columns.forEach((name, at) => { row[name] = values[at]; });
      const isNew = this.rows[n] === undefined;
      this.rows[n] = row;
      if (isNew) {
        this.children[n] ??= [];
        this.byPath.set(row.path, n);
        if (row.parent >= 0) (this.children[row.parent] ??= []).push(n);
      }
      if (isNew || this.text || this.statuses.size || this.order !== "began") this.shown = null;
    }
    if (!this.hasOpened && this.rows.length) this.openSome();
  }

  clear() {
    const { columns, tree } = this;
    Object.assign(this, new TreeStore(columns), { tree });
  }

  /** At first, what fits is unfolded: all of a small tree, the top of a large one. */
  openSome() {
    this.hasOpened = true;
    const isSmall = this.rows.length <= 200;
    for (const row of this.rows) {
      if (isSmall || row.parent < 0) this.open.add(row.n);
    }
    this.shown = null;
  }

  statusOf(row) {
    return row.status === "running" && this.tree.is_live === false ? "cut off" : row.status;
  }

  /** When a run ended, or the moment that it is seen at. */
  endOf(row) {
    if (row.ended !== null) return row.ended;
    return this.tree.is_live ? Math.max(Date.now() / 1000, row.started) : this.tree.updated;
  }

  secondsOf(row) {
    return this.endOf(row) - row.started;
  }

  depthOf(n) {
    let depth = 0;
    for (let at = this.rows[n].parent; at >= 0 && at !== this.parentOfFocus(); at = this.rows[at].parent) depth += 1;
    return depth;
  }

  parentOfFocus() {
    return this.focus < 0 ? -1 : this.rows[this.focus].parent;
  }

  /** What is searched for. */
  get words() {
    return this.text.toLowerCase().split(/\s+/).filter(Boolean);
  }

  get isFiltered() {
    return Boolean(this.text) || this.statuses.size > 0;
  }

  matches(row) {
    if (this.statuses.size && !this.statuses.has(this.statusOf(row))) return false;
    if (!this.text || this.hits.has(row.n)) return true;
    const text = `${row.path} ${row.name} ${row.task} ${row.doing} ${row.model}`.toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  sorted(numbers) {
    const key = {
      began: null,
      cost: (row) => -row.tree_usd,
      tokens: (row) => -row.tree_tokens,
      time: (row) => -this.secondsOf(row),
      status: (row) => ["failed", "cut off", "limited", "paused", "running", "cancelled", "completed"].indexOf(this.statusOf(row)),
      name: (row) => row.name,
    }[this.order];
    if (!key) return numbers;
    const keys = new Map(numbers.map((n) => [n, key(this.rows[n])]));
    return [...numbers].sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : a - b));
  }

  /** Numbers of the rows to show, top to bottom. With a filter: what matches, and what is above that. */
  visible() {
    if (this.shown) return this.shown;
    const found = [];
    const wanted = this.isFiltered ? this.wanted() : null;
    const roots = this.focus >= 0 ? [this.focus] : this.rows.filter((row) => row && row.parent < 0).map((row) => row.n);
    const stack = this.sorted(roots).reverse();
    while (stack.length) {
      const n = stack.pop();
      if (wanted && !wanted.has(n)) continue;
      found.push(n);
      if (wanted || this.open.has(n)) {
        const below = this.sorted(this.children[n]);
        for (let at = below.length - 1; at >= 0; at -= 1) stack.push(below[at]);
      }
    }
    this.shown = found;
    return found;
  }

  wanted() {
    const wanted = new Set();
    for (const row of this.rows) {
      if (!row || !this.matches(row)) continue;
      for (let at = row.n; at >= 0 && !wanted.has(at); at = this.rows[at].parent) wanted.add(at);
    }
    return wanted;
  }

  get matching() {
    return this.rows.reduce((n, row) => n + (row && this.matches(row) ? 1 : 0), 0);
  }

  set(changes) {
    Object.assign(this, changes);
    this.shown = null;
  }

  toggle(n, isOpen = !this.open.has(n)) {
    if (isOpen) this.open.add(n);
    else this.open.delete(n);
    this.shown = null;
  }

  /** Unfold all above a row. */
  reveal(n) {
    for (let at = this.rows[n].parent; at >= 0; at = this.rows[at].parent) this.open.add(at);
    this.shown = null;
  }

  /** From when to when what is shown lasted. */
  get range() {
    const top = this.rows[this.focus >= 0 ? this.focus : 0];
    if (!top) return [0, 1];
    const end = this.endOf(top);
    return [top.started, Math.max(end, top.started + 0.001)];
  }

  counts() {
    const found = {};
    for (const row of this.rows) if (row) found[this.statusOf(row)] = (found[this.statusOf(row)] || 0) + 1;
    return found;
  }

  /** The row for which `value` is greatest among those that have one. */
  most(value) {
    let best = null;
    for (const row of this.rows) {
      const given = row ? value(row) : null;
      if (given !== null && (best === null || given > best[0])) best = [given, row];
    }
    return best ? best[1] : null;
  }

  /**
   * The runs that determined how long it took: from the end back, at each moment the run that was
   * waited for last. A shorter tree needs one of them to be quicker.
   */
  critical() {
    const found = new Set();
    const walk = (n) => {
      found.add(n);
      let until = this.endOf(this.rows[n]) + 1e-6;
      const below = [...this.children[n]].sort((a, b) => this.endOf(this.rows[b]) - this.endOf(this.rows[a]));
      for (const child of below) {
        if (this.endOf(this.rows[child]) > until) continue;
        walk(child);
        until = this.rows[child].started;
      }
    };
    if (this.rows.length) walk(this.focus >= 0 ? this.focus : 0);
    return found;
  }
}
