/**
 * The tail of a pattern: its form, and the log of its events.
 *
 * @module
 */

/// <reference lib="dom" />

import { printable } from "../protocol/printable.ts";
import { countOf, formatExact } from "../protocol/units.ts";
import { Budget } from "./budget.ts";
import { pubCommand } from "./command.ts";
import { byId, element, setText } from "./dom.ts";
import { clockTime, messageOf, prettyJson } from "./pretty.ts";
import { matchesFilter, MAX_ROWS, TailBuffer, type TailEvent, type TailRow } from "./tail.ts";

/** Time between two draws, in milliseconds, and for people who prefer less motion. */
const DRAW_MS = 100;
const CALM_DRAW_MS = 500;

/** The note while some of the events are not received. */
const PARTIAL = "Too many events for a page: it receives only a part of them. " +
  "A narrower pattern has fewer.";

/** How long a tail follows nothing after too many events, in milliseconds. */
const REST_MS = 1000;

/** Maximum number of characters of all rows. Older rows are removed. */
const MAX_CHARACTERS = 4_194_304;

/** Maximum number of characters of attributes in a closed row. */
const MAX_PREVIEW = 400;

/** How close to its end a log counts as being there, in pixels. */
const NEAR_END = 30;

/** The members of an event besides its name and attributes. */
const ENVELOPE = ["id", "from", "to", "replyTo"] as const;

type EventRow = Extract<TailRow, { readonly type: "event" }>;

/** The part of the page with the tail. */
export class TailView {
  readonly #follow: (pattern: string | null) => Promise<void>;
  readonly #commandOptions: readonly string[];
  readonly #buffer = new TailBuffer();
  readonly #log = byId("tail");
  readonly #pattern = byId<HTMLInputElement>("pattern");
  readonly #filter = byId<HTMLInputElement>("filter");
  readonly #rows: { readonly node: HTMLElement; readonly row: TailRow }[] = [];
  #characters = 0;
  #isOpen = false;
  /** Why the tail is paused, or `null`. */
  #pause: string | null = null;
  /** Whether an event is open. */
  #isReading = false;
  /** Whether a pointer is pressed within the log, which must not move until it is released. */
  #isHeld = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #budget = new Budget(performance.now());
  /** Whether the budget is overdrawn. */
  #isResting = false;
  /** Whether it has been overdrawn since the tail was opened. */
  #isPartial = false;

  /**
   * Makes the tail work.
   *
   * @param follow Follows a pattern, or nothing. Rejects if the relay refuses.
   * @param commandOptions The options of commands that publish to this relay.
   */
  constructor(
    follow: (pattern: string | null) => Promise<void>,
    commandOptions: readonly string[],
  ) {
    this.#follow = follow;
    this.#commandOptions = commandOptions;
    byId("tail-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#toggle();
    });
    byId("tail-pause").addEventListener("click", () => this.togglePause());
    byId("tail-clear").addEventListener("click", () => {
      this.#clear();
      this.#update();
    });
    this.#pattern.addEventListener("change", () => {
      this.#isPartial = false;
      this.#update();
    });
    this.#filter.addEventListener("input", () => this.#applyFilter());
    document.addEventListener("visibilitychange", () => this.#update());
    this.#log.addEventListener("pointerdown", () => this.#isHeld = true);
    for (const type of ["pointerup", "pointercancel"]) {
      document.addEventListener(type, () => this.#isHeld = false);
    }
  }

  /** Adds events. */
  push(events: readonly TailEvent[]): void {
    if (!this.#isOpen || this.#pause !== null) return;
    this.#buffer.push(events, Date.now());
    const isOverdrawn = this.#budget.spend(events.length, performance.now());
    if (isOverdrawn && !this.#isResting) this.#rest();
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.#draw(), isCalm() ? CALM_DRAW_MS : DRAW_MS);
  }

  /** Pauses, or goes on. Does nothing while the tail is closed. */
  togglePause(): void {
    if (!this.#isOpen) return;
    this.#pause = this.#pause === null ? "Paused: the page receives no events." : null;
    this.#update();
  }

  /** Pauses while a person reads an event, which would soon be gone otherwise. */
  #read(): void {
    const isReading = this.#log.querySelector("details[open]") !== null;
    if (isReading === this.#isReading) return;
    this.#isReading = isReading;
    this.#pause = isReading ? "Paused while an event is open." : null;
    this.#update();
  }

  #toggle(): void {
    this.#isOpen = !this.#isOpen;
    this.#pause = null;
    if (this.#isOpen) {
      this.#clear();
      this.#log.hidden = false;
    }
    this.#update();
  }

  /** Follows the pattern, or nothing, as the state demands, and shows the state. */
  async #update(): Promise<void> {
    const isFollowing = this.#isOpen && this.#pause === null && !this.#isResting &&
      !document.hidden;
    this.#show(this.#pause ?? (this.#isOpen && this.#isPartial ? PARTIAL : ""));
    try {
      await this.#follow(isFollowing ? this.#pattern.value : null);
    } catch (error) {
      this.#isOpen = false;
      this.#show(messageOf(error));
    }
  }

  #show(note: string): void {
    const pause = byId<HTMLButtonElement>("tail-pause");
    pause.disabled = !this.#isOpen;
    setText(pause, this.#pause === null ? "Pause" : "Go on");
    setText(byId("tail-open"), this.#isOpen ? "Stop" : "Follow");
    setText(byId("tail-note"), note);
  }

  /** Follows nothing until all that is on its way has arrived, and for a moment more. */
  async #rest(): Promise<void> {
    this.#isResting = true;
    this.#isPartial = true;
    await this.#update();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    this.#isResting = false;
    this.#update();
  }

  #clear(): void {
    this.#buffer.clear();
    this.#rows.length = 0;
    this.#characters = 0;
    this.#isReading = false;
    this.#isPartial = false;
    this.#log.replaceChildren();
    byId<HTMLButtonElement>("tail-clear").disabled = true;
    this.#count();
  }

  #applyFilter(): void {
    const filter = this.#filter.value.toLowerCase();
    this.#buffer.filter = filter;
    for (const { node, row } of this.#rows) {
      node.hidden = row.type === "event" && !matchesFilter(row.event.event, row.json, filter);
    }
  }

  #draw(): void {
    this.#timer = undefined;
    if (this.#isHeld) return this.#schedule();
    const log = this.#log;
    const rows = this.#buffer.take();
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
    const nodes = rows.map((row) => this.#toNode(row));
    log.append(...nodes);
    this.#shrink();
    // The log stays where it is if a person has scrolled back.
    if (isAtEnd) log.scrollTop = log.scrollHeight;
    byId<HTMLButtonElement>("tail-clear").disabled = false;
    this.#count();
  }

  #count(): void {
    const { received, skipped } = this.#buffer;
    const hidden = skipped > 0 ? `, ${formatExact(skipped)} not shown` : "";
    setText(byId("tail-count"), received === 0 ? "" : `${countOf(received, "event")}${hidden}`);
  }

  /** Removes the oldest rows beyond the limits. */
  #shrink(): void {
    let count = 0;
    while (
      this.#rows.length - count > MAX_ROWS ||
      this.#characters > MAX_CHARACTERS && count < this.#rows.length
    ) {
      const { node, row } = this.#rows[count++]!;
      node.remove();
      this.#characters -= sizeOf(row);
    }
    this.#rows.splice(0, count);
  }

  #toNode(row: TailRow): HTMLElement {
    const node = row.type === "event"
      ? this.#eventNode(row)
      : element("p", "skipped", `${formatExact(row.count)} more not shown`);
    this.#rows.push({ node, row });
    this.#characters += sizeOf(row);
    return node;
  }

  #eventNode({ at, event, json }: EventRow): HTMLElement {
    const summary = element("summary");
    const preview = json === "{}" ? "" : printable(json.slice(0, MAX_PREVIEW));
    const name = element("span", "name", printable(event.event));
    summary.append(element("time", "", timeOf(at)), name, element("span", "preview", preview));
    const details = element("details");
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(this.#bodyOf(event));
      this.#read();
    });
    return details;
  }

  /** Returns all of an event. It is made when the event is opened. */
  #bodyOf(event: TailEvent): HTMLElement {
    const { event: name, __dict__: attributes } = event;
    const body = element("div", "body");
    body.append(element("pre", "", prettyJson(attributes)));
    const envelope = ENVELOPE.filter((key) => event[key] !== null)
      .map((key) => `${key} ${printable(event[key]!)}`);
    if (envelope.length > 0) body.append(element("p", "", envelope.join(", ")));
    const button = element("button", "", "Copy as a pub command");
    button.type = "button";
    const command = pubCommand({ name, attributes }, this.#commandOptions);
    button.addEventListener("click", () => copy(command, button));
    const foot = element("p");
    foot.append(button);
    body.append(foot);
    return body;
  }
}

/** Returns the number of characters that a row keeps, roughly. */
function sizeOf(row: TailRow): number {
  return row.type === "event" ? row.json.length : 0;
}

/** Copies a text, or selects it if the browser does not let the page copy. */
async function copy(text: string, button: HTMLButtonElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    setText(button, "Copied");
  } catch {
    const shown = element("pre", "", text);
    button.replaceWith(shown);
    getSelection()?.selectAllChildren(shown);
  }
}

/** Returns a time of day to the millisecond. */
function timeOf(at: number): string {
  return `${clockTime(at)}.${String(at % 1000).padStart(3, "0")}`;
}

/** Returns whether a person prefers less motion. */
function isCalm(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
