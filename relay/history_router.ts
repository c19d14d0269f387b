/**
 * Passes events on as the router does, and keeps those of them that the history is to have. Loaded
 * only by relays with a history.
 *
 * @module
 */

import { NO_SENDER } from "../history/kept_block.ts";
import type { LastValues } from "../history/last_values.ts";
import type { EventLog } from "../history/log.ts";
import { NameFilter } from "../history/name_filter.ts";
import type { HistoryRules } from "../history/options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { Block, type Lines } from "../net/piece.ts";
import { copyNumbered, increment, memberBytes, numbersLength } from "../protocol/envelope.ts";
import { REST } from "../protocol/pattern.ts";
import { LineArena } from "./ingress.ts";
import type { Delivery } from "./receipts.ts";
import type { Keeping, Route, RouteCache } from "./route_cache.ts";
import { Batch } from "../server/member_diff.ts";
import type { Router, Routing, Search } from "./router.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** The logs of a relay, and what it keeps in them. */
export interface Keeper {
  readonly log: EventLog;
  readonly lastValues: LastValues;
  readonly rules: HistoryRules;
  /** Whether the senders of events are kept, because a client does not receive its own. */
  readonly keepsSenders: boolean;
}

/** Passes the events of clients on, and keeps them. */
export class HistoryRouter implements Routing<LineConnection> {
  readonly #router: Router<LineConnection>;
  readonly #keeper: Keeper;
  readonly #kept: NameFilter;
  readonly #lastKept: NameFilter;
  /** Whether all events are kept, and only in the log, so that their names do not matter. */
  readonly #keepsRuns: boolean;
  readonly #stamper = new Stamper();
  #source: Client | null = null;
  /** The events whose receipts wait until they are kept, in the order of the offsets. */
  #unkept: { readonly batch: Batch; readonly offset: number }[] = [];
  /** The time at which the block arrived. */
  #now = 0;

  constructor(router: Router<LineConnection>, keeper: Keeper) {
    const { keep, keepLast } = keeper.rules;
    this.#router = router;
    this.#keeper = keeper;
    this.#kept = new NameFilter(keep);
    this.#lastKept = new NameFilter(keepLast);
    this.#keepsRuns = keep.includes(REST) && keepLast.length === 0;
  }

  get routes(): RouteCache<LineConnection> {
    return this.#router.routes;
  }

  get isIdle(): boolean {
    return this.#keepsRuns && this.#router.isIdle;
  }

  begin(source: Client): void {
    this.#source = source;
    this.#now = performance.now();
    this.#router.begin(source);
  }

  passRun(lines: Lines, count: number): void {
    if (this.#keeper.log.isBroken) return this.#router.passRun(lines, count);
    const offset = this.#append(lines, count);
    const stamp = this.#stamper.prepareRun(offset, count);
    this.#router.passKeptRun(lines, count, stamp);
  }

  pass(
    route: Route<LineConnection>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    isReply: boolean,
  ): void {
    const keeping = route.keeping ??= this.#keepingOf(route.name);
    if (keeping === "never" || isRequest || isReply || this.#keeper.log.isBroken) {
      return this.#router.pass(route, line, isRequest, delivery);
    }
    const offset = this.#append(line, 1);
    if (delivery && offset > this.#keeper.log.synced) this.#hold(delivery, offset);
    if (keeping === "last") this.#keepLast(route.name, line, offset);
    this.#router.passKept(route, line, delivery, this.#stamper.prepare(offset));
  }

  /** Lets a receipt wait until its event is kept. */
  #hold(delivery: Delivery, offset: number): void {
    const batch = new Batch();
    delivery.add(batch, false);
    this.#unkept.push({ batch, offset });
  }

  /** Sends the receipts of events up to an offset, which are kept now. */
  kept(offset: number): void {
    const waiting = this.#unkept.findIndex((each) => each.offset > offset);
    for (const { batch } of this.#unkept.splice(0, waiting < 0 ? Infinity : waiting)) {
      batch.accepted = 0;
    }
    this.#router.answer();
  }

  /** Sends the receipts of events that could not be kept, as incomplete ones. */
  notKept(): void {
    for (const { batch } of this.#unkept) batch.isIncomplete = true;
    this.kept(Infinity);
  }

  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    this.#router.passTo(id, line, isRequest, delivery);
  }

  end(hasMore: boolean): void {
    this.#stamper.reset();
    this.#source = null;
    this.#router.end(hasMore);
  }

  /** Clients that catch up slow no sender down. */
  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    const others = clients.filter(({ group }) => group.kind !== "catching-up");
    return this.#router.search(source, others);
  }

  find(id: string): Client | undefined {
    return this.#router.find(id);
  }

  get #sender(): number {
    return this.#keeper.keepsSenders ? this.#source!.recipient.id : NO_SENDER;
  }

  #keepingOf(name: string): Keeping {
    if (this.#lastKept.matches(name)) return "last";
    return this.#kept.matches(name) ? "kept" : "never";
  }

  /** Adds events to the log. Returns the offset of the first of them. */
  #append({ block, start, end }: Lines, count: number): number {
    const { log } = this.#keeper;
    return log.append(block.bytes, start, end, count, this.#sender, this.#now);
  }

  #keepLast(name: string, { block, start, end }: Lines, offset: number): void {
    const line = block.bytes.slice(start, end);
    this.#keeper.lastValues.set({ name, offset, line, sender: this.#sender });
  }
}

/** Smallest size of the memory for stamped lines, in bytes. It doubles while a block goes on. */
const MIN_ARENA_BYTES = 1024;

const NO_BLOCK = new Block(new Uint8Array(0));

/** Writes the offsets into kept events, once for all groups that receive them. */
class Stamper {
  readonly #arena = new LineArena();
  /** Bytes written since the last reset. */
  #written = 0;
  /** The member with the offset of the last single event, and this offset. */
  #member = memberBytes("offset", 0);
  #memberOffset = 0;
  #offset = 0;
  #count = 0;
  #isMade = false;
  readonly #made: { -readonly [K in keyof Lines]: Lines[K] } = {
    block: NO_BLOCK,
    start: 0,
    end: 0,
  };

  /** Returns the stamp of one event. It is valid until the next call. */
  prepare(offset: number): (line: Lines) => Lines {
    this.#offset = offset;
    this.#isMade = false;
    return this.#one;
  }

  /** Returns the stamp of `count` events. It is valid until the next call. */
  prepareRun(offset: number, count: number): (lines: Lines) => Lines {
    this.#count = count;
    this.prepare(offset);
    return this.#run;
  }

  /** Starts over with new memory. Earlier lines stay valid for their holders. */
  reset(): void {
    if (this.#written === 0) return;
    this.#arena.reset();
    this.#written = 0;
  }

  readonly #one = ({ block, start, end }: Lines): Lines => {
    if (this.#isMade) return this.#made;
    const arena = this.#arena;
    const reserve = Math.max(MIN_ARENA_BYTES, this.#written);
    arena.write(block.bytes, start, end - 1, this.#memberOf(this.#offset), reserve);
    this.#written += arena.end - arena.start;
    return this.#keep(arena.block, arena.start, arena.end);
  };

  readonly #run = ({ block, start, end }: Lines): Lines => {
    if (this.#isMade) return this.#made;
    const size = end - start + numbersLength(this.#offset, this.#count, "offset");
    const bytes = new Uint8Array(size);
    copyNumbered(block.bytes.subarray(start, end), this.#offset, bytes, 0, "offset");
    return this.#keep(new Block(bytes), 0, size);
  };

  #keep(block: Block, start: number, end: number): Lines {
    this.#isMade = true;
    this.#made.block = block;
    this.#made.start = start;
    this.#made.end = end;
    return this.#made;
  }

  /** Returns the member of an offset, mostly by adding one to the last. */
  #memberOf(offset: number): Uint8Array {
    const isNext = offset === this.#memberOffset + 1 && increment(this.#member);
    if (!isNext) this.#member = memberBytes("offset", offset);
    this.#memberOffset = offset;
    return this.#member;
  }
}
