/**
 * Owns the check of lines by definitions for a relay, which has no events, and what it says to the
 * sender of one that does not fit. Must not know who gets the others.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Recipient } from "../server/subscriber_group.ts";
import { EventChecker } from "../schema/checker.ts";
import type { EventDefinitions } from "../schema/definitions.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { MAX_QUOTE } from "../protocol/printable.ts";
import { encodeRefusal } from "../protocol/routing.ts";

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

/** Checks the lines of one relay. Where there are no definitions, every event fits. */
export class SchemaFilter {
  /** How many events did not fit. */
  refused = 0;
  readonly #checker: EventChecker;
  /** What the sender is yet to be told. */
  #answers: Uint8Array[] = [];

  /**
   * Makes a checker.
   *
   * @throws {TypeError} If `definitions` are none.
   */
  constructor(definitions: EventDefinitions<object> | undefined) {
    this.#checker = new EventChecker(definitions);
  }

  /** Whether there are definitions, and lines have to be looked at. */
  get isNeeded(): boolean {
    return this.#checker.hasDefinitions;
  }

  /** Whether an event fits, by its line, which `LineValidator` has taken for one. */
  admits(line: Uint8Array, hasEscapedKey: boolean): boolean {
    const parsed = parseLine(decoder.decode(line), hasEscapedKey);
    const { event, __dict__ = {}, id, ack = id } = parsed as unknown as EventLine;
    const issues = this.#checker.judge(event, __dict__);
    if (!issues) return true;
    this.refused++;
    this.#answers.push(encodeRefusal({
      ...(ack !== undefined && { id: ack }),
      event,
      reason: "bad-attributes",
      detail: issues.join("; ").slice(0, MAX_DETAIL).toWellFormed(),
    }));
    return false;
  }

  /** Tells the sender of a block which of its events did not fit, and why. */
  answer(sender: Pick<Recipient, "send">): void {
    if (this.#answers.length === 0) return;
    sender.send(concat(this.#answers), 0);
    this.#answers = [];
  }
}
