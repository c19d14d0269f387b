/** Clients of a router without sockets, which note what they are given. */

import type { Recipient } from "../../server/subscriber_group.ts";
import { copyNumbered } from "../../protocol/envelope.ts";
import type { Piece } from "../../net/piece.ts";

const decoder = new TextDecoder();

/** A client that takes all it is given, unless it is told not to. */
export class FakeRecipient implements Recipient {
  open = true;
  pendingBytes = 0;
  eventsOut = 0;
  /** What it was given, piece by piece. */
  readonly pieces: Uint8Array[] = [];

  constructor(readonly id: number) {}

  send(lines: Uint8Array, count: number): boolean {
    if (!this.open) return false;
    this.pieces.push(lines);
    this.eventsOut += count;
    return true;
  }

  sendPieces(pieces: readonly Piece[], count: number): boolean {
    if (!this.open) return false;
    this.pieces.push(...pieces.map(bytesOf));
    this.eventsOut += count;
    return true;
  }

  /** All that it was given. */
  get text(): string {
    return this.pieces.map((piece) => decoder.decode(piece)).join("");
  }
}

/** What is written for a piece. */
function bytesOf({ bytes, number, length }: Piece): Uint8Array {
  if (number === 0) return bytes;
  const target = new Uint8Array(length);
  copyNumbered(bytes, number, target, 0);
  return target;
}
