/**
 * Tables that are drawn again and again. Only texts that have changed are touched.
 *
 * @module
 */

/// <reference lib="dom" />

import { element, setText } from "./dom.ts";

/** Number of rows before "Show all" is pressed. */
const FEW = 10;

/** A column of a table. */
export interface Column<T> {
  /** The title. */
  readonly title: string;
  /** Returns the text of an item's cell. */
  readonly text: (item: T) => string;
  /** The classes of its cells. */
  readonly kind?: string;
  /** Returns a further class of an item's cell. */
  readonly mark?: (item: T) => string;
  /** Returns the figure by which the rows are ordered, the largest first, when the title is pressed. */
  readonly order?: (item: T) => number;
}

/** A table of items. */
export class Table<T> {
  readonly #columns: readonly Column<T>[];
  readonly #body: HTMLTableSectionElement;
  readonly #headers: readonly HTMLTableCellElement[];
  readonly #all: HTMLButtonElement;
  readonly #empty: string;
  #items: readonly T[] = [];
  #order: Column<T> | null = null;
  #isWhole = false;

  /**
   * Fills a table element.
   *
   * @param table The element, which must be empty.
   * @param columns The columns.
   * @param empty The text where there are no items.
   */
  constructor(table: HTMLTableElement, columns: readonly Column<T>[], empty: string) {
    this.#columns = columns;
    this.#empty = empty;
    const head = table.createTHead().insertRow();
    this.#headers = columns.map((column) => {
      const header = element("th", column.kind);
      header.scope = "col";
      if (column.order) {
        const button = element("button", "", column.title);
        button.type = "button";
        button.addEventListener("click", () => this.#orderBy(column));
        header.append(button);
      } else header.textContent = column.title;
      head.append(header);
      return header;
    });
    this.#body = table.createTBody();
    this.#all = element("button", "all link");
    this.#all.type = "button";
    this.#all.hidden = true;
    this.#all.addEventListener("click", () => {
      this.#isWhole = !this.#isWhole;
      this.#draw();
    });
    table.after(this.#all);
  }

  /** Shows these items. */
  show(items: readonly T[]): void {
    this.#items = items;
    this.#draw();
  }

  #orderBy(column: Column<T>): void {
    this.#order = this.#order === column ? null : column;
    for (const [i, header] of this.#headers.entries()) {
      if (this.#columns[i] === this.#order) header.setAttribute("aria-sort", "descending");
      else header.removeAttribute("aria-sort");
    }
    this.#draw();
  }

  #draw(): void {
    const order = this.#order?.order;
    const items = order ? this.#items.toSorted((a, b) => order(b) - order(a)) : this.#items;
    const shown = this.#isWhole ? items : items.slice(0, FEW);
    this.#all.hidden = items.length <= FEW;
    setText(this.#all, this.#isWhole ? `Show ${FEW}` : `Show all ${items.length}`);
    const isEmpty = shown.length === 0;
    if (isEmpty || this.#body.rows[0]?.cells.length === 1) this.#body.replaceChildren();
    if (isEmpty) {
      const cell = this.#body.insertRow().insertCell();
      cell.colSpan = this.#columns.length;
      cell.className = "empty";
      cell.textContent = this.#empty;
      return;
    }
    while (this.#body.rows.length > shown.length) this.#body.deleteRow(-1);
    while (this.#body.rows.length < shown.length) this.#addRow();
    for (const [i, item] of shown.entries()) this.#fill(this.#body.rows[i]!, item);
  }

  #addRow(): void {
    const row = this.#body.insertRow();
    for (const { kind = "" } of this.#columns) row.insertCell().className = kind;
  }

  #fill(row: HTMLTableRowElement, item: T): void {
    for (const [i, { text, kind = "", mark }] of this.#columns.entries()) {
      const cell = row.cells[i]!;
      setText(cell, text(item));
      if (!mark) continue;
      const name = `${kind} ${mark(item)}`;
      if (cell.className !== name) cell.className = name;
    }
  }
}
