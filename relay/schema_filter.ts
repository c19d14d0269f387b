/**
 * Checks lines against the event definitions, and informs the senders of invalid events.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Recipient } from "../server/subscriber_group.ts";
import { EventChecker } from "../schema/checker.ts";
import type { EventDefinitions } from "../schema/definitions.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { decoder } from "../protocol/utf8.ts";
import { MAX_QUOTE } from "../protocol/printable.ts";
import { encodeRefusal } from "../protocol/control.ts";

/**
 * Maximum length of the issues in an answer, in characters. The sender's own library would show as
 * many.
 */
const MAX_DETAIL = 4 * MAX_QUOTE;

/** The parts of an event's line that are used here. */
interface EventLine {
  readonly event: string;
  readonly __dict__?: object;
  readonly id?: string;
  readonly ack?: string;
}

/** Checks the lines of one relay. Without definitions, every event is valid. */
export class SchemaFilter {
  /** Number of events that did not match their definitions. */
  refused = 0;
  readonly #checker: EventChecker;
  /** Answers that have not been sent yet. */
  #answers: Uint8Array[] = [];

  /**
   * Creates a filter.
   *
   * @throws {TypeError} If `definitions` is not a set of definitions.
   */
  constructor(definitions: EventDefinitions<object> | undefined) {
    this.#checker = new EventChecker(definitions);
  }

  /** Whether there are definitions, so that lines have to be checked. */
  get isNeeded(): boolean {
    return this.#checker.hasDefinitions;
  }

  /** The names of the defined events, or `null` without definitions. */
  get names(): readonly string[] | null {
    return this.#checker.names;
  }

  /**
   * Returns whether an event matches its definition. `LineValidator` must have accepted the line.
   */
  admits(line: Uint8Array, hasEscapedKey: boolean): boolean {
    const parsed = parseLine(decoder.decode(line), hasEscapedKey);
    const { event, __dict__ = {}, id, ack = id } = parsed as unknown as EventLine;
    const issues = this.#checker.judge(event, __dict__);
    if (!issues) return true;
    this.refused++;
    this.#answers.push(encodeRefusal({
      id: ack,
      event,
      reason: "bad-attributes",
      detail: issues.join("; ").slice(0, MAX_DETAIL).toWellFormed(),
    }));
    return false;
  }

  /** Sends the reasons for its refused events to the sender of a block. */
  answer(sender: Pick<Recipient, "send">): void {
    if (this.#answers.length === 0) return;
    sender.send(concat(this.#answers), 0);
    this.#answers = [];
  }
}
