/**
 * Sends kept events to one client, in the order of their offsets and as fast as it reads.
 *
 * A replay goes through the log once, for all that the client has asked for. Each {@link Wish} names
 * patterns and the offset after which their events are wanted. An event is sent if any wish wants
 * it, so it is sent once, however many do.
 *
 * @module
 */

import { BlockCursor } from "../history/block_cursor.ts";
import { addedLength, findLast, type LineForm, MAX_LINES, writeLine } from "../history/extract.ts";
import { NO_SENDER } from "../history/kept_block.ts";
import type { LastValue } from "../history/last_values.ts";
import type { KeptLog } from "../history/log.ts";
import type { LineChoice, NameFilter } from "../history/name_filter.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { Block, Piece } from "../net/piece.ts";
import { encodeHistoryNews } from "../protocol/history.ts";
import { TextSet } from "../protocol/text_map.ts";
import { sendTo } from "../server/subscriber_group.ts";
import type { ReplaySource } from "./replay_source.ts";
import type { Subscriber } from "./subscription_table.ts";

/** Number of names without a match that are looked at in one step. */
const MAX_SKIPPED_NAMES = 1000;

/**
 * What a replay needs after a step: another step, room in the client's send queue, a block, or
 * nothing any more.
 */
export type Need = "step" | "room" | "nothing" | Promise<void>;

/** Events that a client wants. */
export interface Wish {
  /** The ID of the request, or `null` for subscriptions that only wait for others. */
  readonly id: string | null;
  readonly patterns: TextSet;
  /** The events after this offset are wanted. Of no meaning during a search. */
  from: number;
  /** The search for the last events that match, from the end. */
  search: Search | null;
  /** The last events of names that come before all others, `null` for each that does not match. */
  values: Iterator<LastValue | null> | null;
  /** The next of them, if it is known. */
  value: LastValue | null;
  /** The names of which they may be, if patterns were dropped since. */
  narrowed: NameFilter | null;
  /** Called with the offset of {@link from} once a search has ended. */
  readonly onFound: ((from: number) => void) | null;
}

interface Search {
  /** The offset before the first event, if the log is looking for it. */
  place: Promise<number> | null;
  /** Returns the offset before the first event, if it is not searched for. */
  locate?: () => number;
  readonly filter: NameFilter;
  /** The number of events that have not been found. */
  left: number;
  /** The next offset to look at. */
  at: number;
  /** The offset before the first event that has been found. */
  from: number;
}

/** Returns a wish for the events after an offset. */
export function wishFrom(id: string | null, patterns: Iterable<string>, from: number): Wish {
  return {
    id,
    patterns: new TextSet(patterns),
    from,
    search: null,
    values: null,
    value: null,
    narrowed: null,
    onFound: null,
  };
}

/** Sends kept events to one client. */
export abstract class Replay {
  /** The client that receives the events. */
  readonly client: Subscriber<LineConnection>;
  protected readonly source: ReplaySource;
  /** What the client wants, not empty. */
  protected wishes: Wish[] = [];
  /** The offset up to which the client has received everything that it wants. */
  protected at: number;
  /** How the client receives the events. */
  protected abstract form: LineForm;
  /** The offset of the last event to send. */
  protected abstract get end(): number;
  readonly #cursor: BlockCursor;
  /** The filter of the wishes that apply, and their number, if they have not changed since. */
  #filter: NameFilter | null = null;
  #applying = 0;
  #isDone = false;

  constructor(client: Subscriber<LineConnection>, source: ReplaySource) {
    this.client = client;
    this.source = source;
    this.#cursor = new BlockCursor(this.log);
    this.at = this.log.head;
  }

  protected get log(): KeptLog {
    return this.source.keeper.log;
  }

  /** Called when everything has been sent. */
  protected abstract finish(): void;

  /** Tells the client that events were dropped before it has received them. */
  protected tellGap(from: number, to: number, id?: string): void {
    const gap = { control: "gap" as const, ...(id !== undefined && { id }), from, to };
    this.client.recipient.send(encodeHistoryNews(gap), 0);
  }

  /** Called with the events that were dropped. */
  protected abstract onGap(from: number, to: number): void;

  /** Adds a wish. What others want is not sent again. */
  protected add(wish: Wish): void {
    this.wishes.push(wish);
    if (!wish.search) this.#place(wish, wish.from);
  }

  #place(wish: Wish, from: number): void {
    for (const other of this.wishes) other.from = Math.max(other.from, this.at);
    wish.from = from;
    this.at = Math.min(this.at, from);
    this.#filter = null;
  }

  /** Drops patterns. */
  protected remove(patterns: readonly string[]): void {
    this.#filter = null;
    for (const wish of this.wishes) {
      for (const each of patterns) wish.patterns.delete(each);
      if (!wish.values) continue;
      wish.narrowed = this.source.filterOf(wish.patterns);
      if (wish.value && !wish.narrowed.matches(wish.value.name)) wish.value = null;
    }
  }

  /** Returns a wish for the last `count` events that match. */
  wishLast(
    id: string,
    patterns: readonly string[],
    count: number,
    onFound: (from: number) => void,
  ): Wish {
    const { head } = this.log;
    const filter = this.source.filterOf(patterns);
    const left = filter.takesNothing ? 0 : count;
    const search = { place: null, filter, left, at: head, from: head };
    return { ...wishFrom(id, patterns, head), search, onFound };
  }

  /** Returns a wish for the events after an offset that the log is looking for. */
  wishPlace(
    id: string,
    patterns: readonly string[],
    place: Promise<number>,
    onFound: (from: number) => void,
  ): Wish {
    const wish = this.wishLast(id, patterns, 0, onFound);
    place.catch(() => {}); // The step that waits for it tells.
    wish.search!.place = place;
    return wish;
  }

  /**
   * Returns a wish for the events after an offset that `locate` returns once the log is `ready`.
   */
  wishLater(
    id: string,
    patterns: readonly string[],
    ready: Promise<void>,
    locate: () => number,
    onFound: (from: number) => void,
  ): Wish {
    const wish = this.wishPlace(id, patterns, ready.then(() => 0), onFound);
    wish.search!.locate = locate;
    return wish;
  }

  /** Returns a wish for the last event of each name, and for those after them. */
  wishValues(id: string, patterns: readonly string[]): Wish {
    const wish = wishFrom(id, patterns, this.log.head);
    this.beginWithValues(wish);
    return wish;
  }

  /** Lets the last event of each name come before all others of a wish. */
  beginWithValues(wish: Wish): void {
    const filter = this.source.filterOf(wish.patterns);
    wish.values = this.source.keeper.lastValues.matching(filter, this.log.head);
  }

  /** Does some of the work. */
  step(): Need {
    const { recipient } = this.client;
    if (this.#isDone || !recipient.open) return "nothing";
    const searching = this.wishes.find(({ search }) => search !== null);
    if (searching) return this.#search(searching, searching.search!);
    const { maxQueuedBytes } = this.source;
    if (recipient.pendingBytes >= maxQueuedBytes) return "room";
    const isNear = !this.#hasValues && this.log.bytesAfter(this.at) <= maxQueuedBytes;
    do {
      const need = this.#advance();
      if (need) return need;
    } while (isNear && this.at < this.end);
    if (this.#hasValues || this.at < this.end) return "step";
    this.conclude();
    return "nothing";
  }

  /** Ends the replay. */
  protected conclude(): void {
    this.#isDone = true;
    this.finish();
  }

  /** Looks at one block, backwards, or prepares that. */
  #search(wish: Wish, search: Search): Need {
    if (search.place) {
      return search.place.then((from) => {
        search.place = null;
        search.from = from;
      });
    }
    const { first, head } = this.log;
    search.at = Math.min(search.at, head); // The log may have lost its last events.
    if (search.left > 0 && search.at >= first) {
      const block = this.#cursor.at(search.at);
      if (block instanceof Promise) return block;
      if (typeof block === "number") { // Some of those that are asked for may be damaged.
        search.left = 0;
        search.from = search.at - 1;
        return "step";
      }
      if (!search.filter.takesAll && !block.isIndexed) {
        block.index(MAX_LINES);
        return "step";
      }
      const { count, offset } = findLast(
        block,
        search.at,
        this.#choice(search.filter),
        search.left,
      );
      search.left -= count;
      search.at = block.first - 1;
      if (offset !== undefined) search.from = offset - 1;
      return "step";
    }
    const from = search.locate?.() ??
      Math.max(search.left > 0 ? 0 : Math.min(search.from, head), first - 1);
    wish.search = null;
    this.#place(wish, from);
    wish.onFound!(from);
    return "step";
  }

  get #hasValues(): boolean {
    return this.wishes.some(({ values }) => values !== null);
  }

  /** Sends the next events. Returns what it needs to do so, or `null` if it got on. */
  #advance(): Need | null {
    const { first } = this.log;
    let least = this.end;
    for (const { from } of this.wishes) least = Math.min(least, from);
    const at = Math.max(this.at, least);
    if (at + 1 < first && at < this.end) {
      this.at = Math.min(first - 1, this.end);
      this.onGap(at + 1, this.at);
      return null;
    }
    this.at = at;
    if (this.#hasValues) {
      const value = this.#nextValue();
      if (value === "unknown") return null;
      if (value && value.offset <= at + 1) return this.#sendValues();
      return this.#sendUpTo(value ? value.offset - 1 : this.end);
    }
    return this.#sendUpTo(this.end);
  }

  /** Sends events of one block, at most up to the offset `stop`. */
  #sendUpTo(stop: number): Need | null {
    const { at } = this;
    for (const { from } of this.wishes) if (from > at) stop = Math.min(stop, from);
    if (stop <= at) return null;
    const filter = this.#filterOfNow();
    if (filter.takesNothing) {
      this.at = stop;
      return null;
    }
    const block = this.#cursor.at(at + 1);
    if (block instanceof Promise) return block;
    if (typeof block === "number") { // The events up to there are damaged.
      this.source.noteDamage(at + 1, block);
      this.at = Math.min(block, stop);
      this.onGap(at + 1, this.at);
      return null;
    }
    const part = this.source.partOf(block, at + 1, stop, this.#choice(filter), this.form);
    if (part.piece && !this.#fits(part.piece.length)) return "room";
    if (part.piece) sendTo(this.client, [part.piece]);
    this.at = part.to;
    return null;
  }

  /** Returns the filter of the wishes that apply after the present offset. */
  #filterOfNow(): NameFilter {
    const applying = this.wishes.filter(({ from }) => from <= this.at);
    if (this.#filter && this.#applying === applying.length) return this.#filter;
    this.#applying = applying.length;
    return this.#filter = this.source.filterOf(applying.flatMap(({ patterns }) => [...patterns]));
  }

  #choice(filter: NameFilter): LineChoice {
    return { filter, excluded: this.#excluded };
  }

  /** The sender whose events are left out, or `NO_SENDER`. */
  get #excluded(): number {
    return this.source.keeper.keepsSenders ? this.client.recipient.id : NO_SENDER;
  }

  /** Returns whether a long piece can be queued now. Others always can. */
  #fits(bytes: number): boolean {
    const { pendingBytes } = this.client.recipient;
    return pendingBytes === 0 || pendingBytes + bytes <= 3 * this.source.maxQueuedBytes;
  }

  /** Returns the next last event of a name, `null` if there is none, or that it is not known yet. */
  #nextValue(): LastValue | null | "unknown" {
    let next: LastValue | null = null;
    for (const wish of this.wishes) {
      if (!this.#findValue(wish)) return "unknown";
      const { value } = wish;
      if (value && (next === null || value.offset < next.offset)) next = value;
    }
    return next;
  }

  /** Finds the next value of a wish. Returns `false` if that takes longer. */
  #findValue(wish: Wish): boolean {
    const excluded = this.#excluded;
    // The log may have lost its last events.
    if (wish.value && wish.value.offset > this.end) wish.value = null;
    for (let skipped = 0; wish.values && !wish.value; skipped++) {
      if (skipped === MAX_SKIPPED_NAMES) return false;
      const { value, done } = wish.values.next();
      if (done) wish.values = null;
      else if (!value || value.offset > this.end) continue;
      else if (value.sender === excluded && excluded !== NO_SENDER) continue;
      else if (wish.narrowed?.matches(value.name) !== false) wish.value = value;
    }
    return true;
  }

  /** Sends the last events of names that come next. */
  #sendValues(): Need | null {
    const { form, source } = this;
    const values: LastValue[] = [];
    let size = 0;
    for (;;) {
      const value = this.#nextValue();
      if (value === null || value === "unknown" || value.offset > this.at + 1) break;
      const length = value.line.length + addedLength(value.offset, form);
      if (size > 0 && size + length > source.pieceBytes) break;
      if (!this.#fits(size + length)) break;
      for (const wish of this.wishes) if (wish.value === value) wish.value = null;
      values.push(value);
      size += length;
      this.at = Math.max(this.at, value.offset);
    }
    if (size === 0) return "room";
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const { line, offset } of values) {
      at = writeLine(bytes, at, line, 0, line.length, offset, form);
    }
    sendTo(this.client, [new Piece(new Block(bytes), 0, size, values.length)]);
    return null;
  }
}
