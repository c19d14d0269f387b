/**
 * What the next blocks of a relay say about producers, besides the counts of their events.
 *
 * @module
 */

import { byteLength } from "../protocol/utf8.ts";
import type { ProducerNotes } from "./producer_table.ts";

/** Most bytes of notes in one block. */
const MAX_NOTE_BYTES = 3072;

export type Claim = NonNullable<ProducerNotes["claims"]>[number];
export type Release = NonNullable<ProducerNotes["releases"]>[number];
export type Decline = NonNullable<ProducerNotes["declines"]>[number];

/** The notes of one block. */
export interface BlockNotes {
  readonly disowns: boolean;
  readonly claims: readonly Claim[];
  readonly releases: readonly Release[];
  readonly declines: readonly Decline[];
}

/** The notes of a block that has none. */
export const NO_NOTES: BlockNotes = { disowns: false, claims: [], releases: [], declines: [] };

/** Returns whether there are notes. */
export function hasNotes({ disowns, claims, releases, declines }: BlockNotes): boolean {
  return disowns || claims.length + releases.length + declines.length > 0;
}

/** Returns about how many bytes notes add to the first line of a block, at most. */
export function noteBytes({ claims, releases, declines }: BlockNotes): number {
  return [...claims, ...releases, ...declines].reduce((sum, [id]) => sum + rowBytes(id), 0);
}

/** Returns about how many bytes a producer adds to it, at most. */
export function rowBytes(id: string): number {
  return byteLength(JSON.stringify(id)) + 56;
}

/** The notes that are in no block yet. */
export class PendingNotes implements BlockNotes {
  disowns = false;
  claims: Claim[] = [];
  releases: Release[] = [];
  declines: Decline[] = [];

  /** Whether there are none. */
  get isEmpty(): boolean {
    return !hasNotes(this);
  }

  /** Drops all. */
  clear(): void {
    Object.assign(this, { disowns: false, claims: [], releases: [], declines: [] });
  }

  /** Removes and returns as many as one block has room for. */
  next(): BlockNotes {
    const { disowns } = this;
    this.disowns = false;
    let bytes = 0;
    const take = <T extends Claim | Release | Decline>(rows: T[]): T[] => {
      const end = rows.findIndex(([id]) => (bytes += rowBytes(id)) > MAX_NOTE_BYTES);
      return rows.splice(0, end < 0 ? Infinity : end);
    };
    return {
      disowns,
      releases: take(this.releases),
      declines: take(this.declines),
      claims: take(this.claims),
    };
  }

  /** Takes back those of blocks that are not stored. Claims are dropped, and can be made again. */
  takeBack(blocks: readonly BlockNotes[]): void {
    this.disowns ||= blocks.some(({ disowns }) => disowns);
    this.releases.unshift(...blocks.flatMap(({ releases }) => releases));
    this.declines.unshift(...blocks.flatMap(({ declines }) => declines));
    this.claims = [];
  }
}
