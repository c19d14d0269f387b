/**
 * Owns the check of lines by definitions for a relay, which has no events, and what it says to the
 * sender of one that does not fit. Must not know who gets the others.
 *
 * @module
 */

import type { EventChecker } from "./checker.ts";
import { parseLine } from "./parse.ts";
import { MAX_QUOTE } from "./printable.ts";
import type { Refusal } from "./routing.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** How much of the issues the sender is told, in characters: what its own library would show. */
const MAX_DETAIL = 4 * MAX_QUOTE;

/** What the line of an event has that is looked at here. */
interface EventLine {
  readonly event: string;
  readonly __dict__?: object;
  readonly id?: string;
  readonly ack?: string;
}

/**
 * What the sender of an event is told if that does not fit; `null` if it does. `line` is one that
 * `LineValidator` takes for an event, and trusted to be.
 */
export function refusalOf(
  checker: EventChecker,
  line: Uint8Array,
  hasEscapedKey: boolean,
): Refusal | null {
  const parsed = parseLine(decoder.decode(line), hasEscapedKey);
  const { event, __dict__ = {}, id, ack } = parsed as unknown as EventLine;
  const issues = checker.judge(event, __dict__);
  if (!issues) return null;
  const answered = ack ?? id;
  return {
    ...(answered !== undefined && { id: answered }),
    event,
    reason: "bad-attributes",
    detail: issues.join("; ").slice(0, MAX_DETAIL).toWellFormed(),
  };
}
