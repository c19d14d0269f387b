/**
 * Places in the history of a relay, as a program states them.
 *
 * @module
 */

import { type HistoryPosition, isPosition, type ReplayRequest } from "../protocol/history.ts";
import { checkDuration, checkLimit } from "../protocol/option_checks.ts";
import { inspect } from "../protocol/printable.ts";

/**
 * How much of a relay's history a program has taken. It is plain JSON: a program can store it, and
 * go on from it in another run.
 */
export interface Position {
  /** The epoch of the history. Offsets of different epochs have nothing to do with each other. */
  readonly epoch: string;
  /** The offset of the last event such that it and all before it have been taken. */
  readonly offset: number;
  /** The patterns whose catching up has not ended, with their own offsets. Unset if there are none. */
  readonly behind?: Readonly<Record<string, number>>;
}

/** From where on a client asks for the events that a relay has kept. */
export type Since =
  /** The events after a position. */
  | Position
  /** The last events that match, from 1. */
  | { readonly count: number }
  /** The events of the last so many milliseconds, from 0. */
  | { readonly age: number }
  /** All kept events. */
  | "first"
  /** The last event of each name, if the relay keeps it. */
  | "last";

/**
 * Checks where to begin.
 *
 * @throws {TypeError} If it is not a {@link Since}.
 * @throws {RangeError} If a number is out of its range.
 */
export function checkSince(since: Since): void {
  if (since === "first" || since === "last") return;
  const { count, age, behind = {}, ...position } = Object(since);
  if (count !== undefined) checkLimit("since.count", count, 1, Number.MAX_SAFE_INTEGER);
  else if (age !== undefined) checkDuration("since.age", age, 0, Number.MAX_SAFE_INTEGER);
  else if (
    ![position.offset, ...Object.values(behind)]
      .every((offset) => isPosition({ ...position, offset } as HistoryPosition))
  ) {
    const expected = 'a position, { count }, { age }, "first" or "last"';
    throw new TypeError(`Invalid since: expected ${expected}, got ${inspect(since)}`);
  }
}

/** Returns the request for kept events of a pattern. */
export function replayFor(pattern: string, since: Since, isPartial: boolean): ReplayRequest {
  return { since: placeOf(pattern, since), partial: since === "last" ? since : isPartial };
}

/** Returns where kept events of a pattern begin. */
export function placeOf(pattern: string, since: Since): ReplayRequest["since"] {
  if (typeof since === "string" || !("offset" in since)) return since;
  const { epoch, offset, behind = {} } = since;
  return { epoch, offset: Object.hasOwn(behind, pattern) ? behind[pattern]! : offset };
}
