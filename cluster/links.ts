/**
 * Passes the events of this relay's clients on to the other relays whose clients hear them.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { Block, type Lines } from "../net/piece.ts";
import {
  encodeNext,
  type InterestChange,
  type Next,
  type QueueInterest,
} from "../protocol/cluster.ts";
import { TextMap, TextSet } from "../protocol/text_map.ts";
import { WriteCoalescer } from "../server/coalescer.ts";
import type { Batch } from "../server/member_diff.ts";
import { InterestTable, type Reach } from "./interest_table.ts";
import { type Link, MAX_LINK_BYTES } from "./link.ts";

export type { Link, Reach };

/** An event whose publisher expects a receipt. */
export interface Awaiting {
  /** Adds lines that contain the event. */
  add(batch: Batch, isLeftOut: boolean): void;
}

const NO_CHANGE: InterestChange = { version: 0, add: [], drop: [], queues: [], isWhole: false };

/** Callbacks of {@link Links}. */
export interface LinksSink {
  /** Called with each relay for which lines have just been queued. */
  onQueued(link: Link): void;
}

/** The other relays of one relay. */
export class Links {
  readonly #table = new InterestTable<Link>();
  readonly #coalescer: WriteCoalescer<Link>;
  readonly #links = new TextMap<Link>();
  /** Number of the last event about which other relays were asked. */
  #asked = 0;

  constructor(maxBatchDelay: number, sink: LinksSink) {
    this.#coalescer = new WriteCoalescer({
      maxBatchDelay,
      maxPendingBytes: MAX_LINK_BYTES,
      onQueued: (link) => sink.onQueued(link),
      onFlushed: () => {},
    });
  }

  /** Iterates over the links. */
  [Symbol.iterator](): IterableIterator<Link> {
    return this.#links.values();
  }

  /** Returns the link to a relay, or `undefined`. */
  find(relay: string): Link | undefined {
    return this.#links.get(relay);
  }

  /** Adds a link. */
  add(link: Link): void {
    this.#links.set(link.relay, link);
    this.#table.join(link);
  }

  /** Removes a link. */
  remove(link: Link): void {
    this.#coalescer.flushFor(link.member);
    this.#links.delete(link.relay);
    this.#table.leave(link);
  }

  /** Returns the queues of another relay. */
  queuesOf(link: Link): QueueInterest[] {
    return this.#table.queuesOf(link);
  }

  /** Lets a link begin with the queues of the one before it. */
  inherit(link: Link, queues: readonly QueueInterest[]): void {
    for (const [queue, pattern] of queues) {
      let patterns = link.inherited.get(queue);
      if (!patterns) link.inherited.set(queue, patterns = new TextSet());
      patterns.add(pattern);
    }
    this.#table.apply(link, { ...NO_CHANGE, queues });
  }

  /** Applies a change of another relay's interest. */
  apply(link: Link, change: InterestChange): void {
    for (const [queue, pattern] of change.queues) link.inherited.get(queue)?.delete(pattern);
    if (change.isWhole) {
      const queues = [...link.inherited].flatMap(([queue, patterns]) =>
        Array.from(patterns, (pattern) => [queue, pattern, 0] as const)
      );
      this.#table.apply(link, { ...NO_CHANGE, queues });
      link.inherited.clear();
    }
    this.#table.apply(link, change);
  }

  /** Changes whenever an event may reach other relays than before. */
  get generation(): number {
    return this.#table.generation;
  }

  /** Whether all events reach the same relays, whatever their names. */
  get isUniform(): boolean {
    return this.#table.isUniform;
  }

  /** Returns the relays that an event reaches. */
  reach(name: string): Reach<Link> {
    return this.#table.reach(name);
  }

  /** Passes on `count` events without an envelope, while {@link isUniform}. */
  passRun({ block, start, end }: Lines, count: number): boolean {
    for (const { member } of this.#table.everything) {
      this.#coalescer.add(member.group, block, start, end, count, null);
    }
    return this.#table.everything.size > 0;
  }

  /** Whether another relay hears all events. */
  get hearAll(): boolean {
    return this.#table.everything.size > 0;
  }

  /**
   * Asks relays about an event that they get in another way. Returns the number under which they
   * answer. {@link await} says from when on.
   */
  askAbout(links: Iterable<Link>, awaiting: Awaiting): number {
    const number = ++this.#asked;
    for (const link of links) awaiting.add(link.ask(number, Infinity), false);
    return number;
  }

  /** Waits for the answers about an event from now on. */
  await(number: number): void {
    for (const link of this.#links.values()) link.await(number);
  }

  /** Queues a control line for all relays, after the events so far. */
  sendToAll(line: Uint8Array): void {
    this.flush();
    for (const link of this.#links.values()) link.send(line, 0);
  }

  /**
   * Passes one event on.
   *
   * @param queues The relays of which a member of these queues shall receive it.
   * @param awaiting Set if the other relays shall report how many clients they queue it for.
   * @param only Whether all other clients have received it.
   * @returns Whether it reaches a relay.
   */
  pass(
    { relays }: Reach<Link>,
    line: Lines,
    queues: ReadonlyMap<Link, readonly string[]>,
    awaiting: Awaiting | null,
    only = false,
  ): boolean {
    const number = awaiting ? ++this.#asked : undefined;
    for (const link of relays) {
      this.#add(link, line, { number, queues: queues.get(link) }, awaiting);
    }
    for (const [link, names] of queues) {
      if (!relays.has(link)) this.#add(link, line, { number, queues: names, only }, awaiting);
    }
    return relays.size + queues.size > 0;
  }

  /** Passes one event on to the relay of its recipient. Returns whether there is one. */
  passTo(relay: string, line: Lines, awaiting: Awaiting | null): boolean {
    const link = this.#links.get(relay);
    if (!link) return false;
    this.#add(link, line, { number: awaiting ? ++this.#asked : undefined }, awaiting);
    return true;
  }

  #add(link: Link, { block, start, end }: Lines, next: Next, awaiting: Awaiting | null): void {
    const { group } = link.member;
    if (next.number === undefined && !next.queues) {
      return this.#coalescer.add(group, block, start, end, 1, null);
    }
    // In one piece, so that not one of the two is lost without the other.
    const both = concat([encodeNext(next), block.bytes.subarray(start, end)]);
    this.#coalescer.add(group, new Block(both), 0, both.length, 1, null);
    if (next.number === undefined) return;
    group.isUrgent = true; // Its sender waits.
    awaiting!.add(link.ask(next.number), false);
  }

  /** Ends a block. */
  end(source: object, hasMore: boolean): void {
    this.#coalescer.endBlock(source, hasMore);
  }

  /** Queues all gathered events. */
  flush(): void {
    this.#coalescer.flushAll();
  }
}
