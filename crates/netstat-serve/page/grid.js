// A table that draws only the rows in sight, so that 100,000 of them cost no more than fifty. Keys: arrows, Page Up and Down, Home,
// End, Enter.

import { h } from "./util.js";

const HEIGHT = 28;
const BEYOND = 8;

export class Grid {
  /** `columns`: { name, label, width, num, show(row), value(row) }. */
  constructor({ label, open, sorted }) {
    this.open = open;
    this.sorted = sorted;
    this.columns = [];
    this.rows = [];
    this.at = -1;
    /** The key of the row at `at`. */
    this.selected = null;
    this.lines = new Map();
    this.head = h("div", { class: "head", role: "row", "aria-rowindex": "1" });
    this.body = h("div", { class: "body", role: "rowgroup" });
    this.element = h("div", { class: "grid", hidden: true, role: "grid", tabindex: "0", "aria-label": label, onscroll: () => this.draw(), onkeydown: (event) => this.key(event) },
      h("div", { role: "rowgroup" }, this.head), this.body);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  /** Rows follow by `setRows`: those that are there may be of another kind. */
  setColumns(columns, sort, down) {
    this.columns = columns;
    this.element.hidden = columns.length === 0;
    this.head.replaceChildren(...columns.map((column) => {
      const cell = h("div", { role: "columnheader", class: column.num ? "num" : "", "aria-sort": column.name === sort ? (down ? "descending" : "ascending") : "none" },
        h("button", { type: "button", tabindex: "-1", title: `Sort by ${column.label}`, onclick: () => this.sorted(column.name) }, column.label, column.name === sort ? (down ? " ▼" : " ▲") : ""));
      cell.style.width = `${column.width}px`;
      return cell;
    }));
    this.element.setAttribute("aria-colcount", columns.length);
    for (const line of this.lines.values()) line.element.remove();
    this.lines.clear();
    this.rows = [];
  }

  /** Rows with a key and a mark ("new", "gone" or ""). */
  setRows(rows, key, mark) {
    const selected = this.selected;
    this.key_ = key;
    this.mark = mark;
    this.rows = rows;
    if (selected !== null) {
      const place = rows.findIndex((row) => key(row) === selected);
      this.at = place >= 0 ? place : Math.min(this.at, rows.length - 1);
    }
    this.selected = this.at >= 0 && rows[this.at] !== undefined ? key(rows[this.at]) : null;
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    this.body.style.height = `${rows.length * HEIGHT}px`;
    this.draw();
  }

  key_() { return null; }

  draw() {
    if (this.columns.length === 0) return;
    const top = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - BEYOND);
    const bottom = Math.min(this.rows.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / HEIGHT) + BEYOND);
    for (const [place, line] of this.lines) if (place < top || place >= bottom) { line.element.remove(); this.lines.delete(place); }
    for (let place = top; place < bottom; place += 1) {
      let line = this.lines.get(place);
      if (!line) {
        const cells = this.columns.map((column) => {
          const cell = h("div", { role: "gridcell", class: column.num ? "num" : "" });
          cell.style.width = `${column.width}px`;
          return cell;
        });
        const element = h("div", { role: "row", id: `line-${place}`, "aria-rowindex": place + 2, onclick: () => { this.select(place); this.open(this.rows[place]); } }, cells);
        element.style.top = `${place * HEIGHT}px`;
        this.body.append(element);
        line = { element, cells, shown: [] };
        this.lines.set(place, line);
      }
      const row = this.rows[place];
      this.columns.forEach((column, at) => {
        const text = column.show(row);
        if (line.shown[at] !== text) { line.shown[at] = text; line.cells[at].textContent = text; line.cells[at].title = text.length * 7 > column.width ? text : ""; }
      });
      const mark = this.mark ? this.mark(row) : "";
      const name = `line ${mark}${place === this.at ? " at" : ""}`;
      if (line.element.className !== name) { line.element.className = name; line.element.setAttribute("aria-selected", place === this.at); }
    }
  }

  select(place) {
    this.at = Math.max(0, Math.min(place, this.rows.length - 1));
    this.selected = this.rows[this.at] === undefined ? null : this.key_(this.rows[this.at]);
    const [top, height] = [this.at * HEIGHT, this.element.clientHeight - 2 * HEIGHT];
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    if (top > this.element.scrollTop + height) this.element.scrollTop = top - height;
    this.draw();
    this.element.setAttribute("aria-activedescendant", `line-${this.at}`);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / HEIGHT) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (Object.hasOwn(moves, event.key) && this.rows.length > 0) {
      event.preventDefault();
      this.select(this.at < 0 ? (event.key === "End" ? this.rows.length - 1 : 0) : Math.max(0, Math.min(this.rows.length - 1, this.at + moves[event.key])));
    } else if (event.key === "Enter" && this.rows[this.at] !== undefined && event.target === this.element) {
      event.preventDefault();
      this.open(this.rows[this.at]);
    }
  }

  destroy() { this.observer.disconnect(); }
}
