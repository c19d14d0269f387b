/**
 * Owns how what one client gets differs from what the others of its audience get: lines that it alone
 * does not get, and lines that it alone gets. Must not know why.
 *
 * The others go on sharing one piece of bytes. However many lines differ, and for how many clients, that
 * costs each of these a copy, and nobody else.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Batch, Recipient } from "./audience.ts";
import { Share } from "./share.ts";

/** A place in what the audience gets. */
export interface Position {
  /** How many bytes are before it. */
  readonly bytes: number;
  /** How many events are before it. */
  readonly events: number;
}

/** Where the two part, and where they meet again. */
interface Bend {
  readonly from: Position;
  /** Where the client goes on: behind what it does not get. */
  to: Position;
  /** What it gets instead. */
  readonly own: Share;
  ownEvents: number;
}

/** The differences for one client, in order. */
export class Detour {
  /** The lines for this client alone, for whoever waits for what becomes of them. */
  batch: Batch | null = null;

  readonly #bends: Bend[] = [];

  /** The client does not get what the others get from one place to another. */
  skip(from: Position, to: Position): void {
    const last = this.#bends.at(-1);
    if (last?.to.bytes === from.bytes) last.to = to;
    else this.#bends.push({ from, to, own: new Share(), ownEvents: 0 });
  }

  /** The client alone gets an event, at the place at which the others have arrived. */
  insert(at: Position, block: Uint8Array, start: number, end: number): void {
    let bend = this.#bends.at(-1);
    if (bend?.to.bytes !== at.bytes) {
      this.#bends.push(bend = { from: at, to: at, own: new Share(), ownEvents: 0 });
    }
    bend!.own.add(block, start, end);
    bend!.ownEvents++;
  }

  /**
   * Queues for the client what it gets, when all others get `lines`, in one piece; `false` if that cannot
   * be done. A part of `lines` is copied: as a view it would hold in memory what nobody counts.
   */
  send(recipient: Recipient, lines: Uint8Array, events: number): boolean {
    const parts: Uint8Array[] = [];
    let count = events;
    let at: Position = { bytes: 0, events: 0 };
    for (const { from, to, own, ownEvents } of this.#bends) {
      parts.push(lines.subarray(at.bytes, from.bytes), own.take());
      count += ownEvents - (to.events - from.events);
      at = to;
    }
    parts.push(lines.subarray(at.bytes));
    const piece = concat(parts);
    return piece.length === 0 || recipient.send(piece, count);
  }
}
