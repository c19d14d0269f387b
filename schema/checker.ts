/**
 * Owns the use of definitions by whoever sends and receives: what of an event does not fit, and who
 * is told. Must not know how events are defined.
 *
 * @module
 */

import { inspect } from "../protocol/printable.ts";
import type { CheckedAttributes, EventDefinitions } from "./definitions.ts";
import { EventSchemaError } from "../errors.ts";
import type { EbsocketEvent, OpenAttributes } from "../protocol/event.ts";
import { parseLine } from "../protocol/json_parser.ts";

const BACKSLASH = 0x5c;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Checks events by definitions. Where there are none, every event fits. */
export class EventChecker {
  readonly #definitions: EventDefinitions<object> | undefined;

  /**
   * Makes a checker.
   *
   * @throws {TypeError} If `definitions` are none.
   */
  constructor(definitions: EventDefinitions<object> | undefined) {
    if (definitions !== undefined && !isDefinitions(definitions)) {
      throw new TypeError(
        `Invalid events: expected what defineEvents() gives, got ${inspect(definitions)}`,
      );
    }
    this.#definitions = definitions;
  }

  /** Whether there are definitions. */
  get hasDefinitions(): boolean {
    return this.#definitions !== undefined;
  }

  /**
   * Checks an event that is to be sent, as it will arrive: with what JSON makes of its attributes, of a
   * `Date` for instance. `line` is its line. It stays as it is.
   *
   * @throws {EventSchemaError} If it does not fit.
   * @throws {TypeError} If its validator is asynchronous, or throws.
   */
  checkSent(event: EbsocketEvent<string, object>, line: Uint8Array): void {
    if (!this.#definitions) return;
    const { __dict__ } = parseLine(decoder.decode(line), line.includes(BACKSLASH));
    const { issues } = this.#definitions.check(event.event, __dict__);
    if (!issues) return;
    const message = `Cannot send ${event}: ${issues.join("; ")}`;
    throw new EventSchemaError(message, event.event, issues);
  }

  /**
   * Gives an event that has been received the attributes that its validator makes of it; or leaves it
   * as it is, and gives what does not fit. Never throws: the peer may be the one who made the
   * validator throw.
   */
  takeReceived(event: EbsocketEvent): readonly string[] | null {
    if (!this.#definitions) return null;
    const { value, issues } = this.#check(this.#definitions, event.event, event.__dict__);
    if (issues) return issues;
    event.__dict__ = value as OpenAttributes;
    return null;
  }

  /** What of an event does not fit that is only passed on; `null` if all does. Never throws. */
  judge(name: string, attributes: object): readonly string[] | null {
    if (!this.#definitions) return null;
    return this.#check(this.#definitions, name, attributes).issues ?? null;
  }

  #check(
    definitions: EventDefinitions<object>,
    name: string,
    attributes: object,
  ): CheckedAttributes {
    try {
      return definitions.check(name, attributes);
    } catch (error) {
      return { issues: [error instanceof Error ? error.message : String(error)] };
    }
  }
}

/**
 * Whether `value` are definitions. They may come from another copy of this library, so it looks at
 * what they can do, not at what made them.
 */
export function isDefinitions(value: unknown): value is EventDefinitions<object> {
  if (typeof value !== "object" || value === null) return false;
  return "names" in value && Array.isArray(value.names) &&
    "check" in value && typeof value.check === "function";
}
