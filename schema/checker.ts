/**
 * Checks events against definitions when they are sent, received or relayed.
 *
 * @module
 */

import { BACKSLASH } from "../protocol/ascii.ts";
import { inspect } from "../protocol/printable.ts";
import type { CheckedAttributes, EventDefinitions } from "./definitions.ts";
import { EventSchemaError } from "../errors.ts";
import type { EbsocketEvent, OpenAttributes } from "../protocol/event.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { decoder } from "../protocol/utf8.ts";

/** Checks events against definitions. Without definitions, every event passes. */
export class EventChecker {
  readonly #definitions: EventDefinitions<object> | undefined;

  /**
   * Makes a checker.
   *
   * @throws {TypeError} If `definitions` is not the result of `defineEvents()`.
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

  /** The names of the defined events, or `null` without definitions. */
  get names(): readonly string[] | null {
    return this.#definitions?.names ?? null;
  }

  /**
   * Checks an event before it is sent. The check sees the attributes as they will arrive, so a
   * `Date` is already text. The event is not changed.
   *
   * @param event The event to be sent.
   * @param line The encoded line of the event.
   * @throws {EventSchemaError} If the attributes do not match.
   * @throws {TypeError} If the validator is asynchronous, or throws.
   */
  checkSent(event: EbsocketEvent<string, object>, line: Uint8Array): void {
    if (!this.#definitions) return;
    const { __dict__ = {} } = parseLine(decoder.decode(line), line.includes(BACKSLASH));
    const { issues } = this.#definitions.check(event.event, __dict__);
    if (!issues) return;
    const message = `Cannot send ${event}: ${issues.join("; ")}`;
    throw new EventSchemaError(message, event.event, issues);
  }

  /**
   * Checks a received event. On success, its attributes become the output of the validator.
   * Otherwise the event stays as it is. Never throws, because the peer may have caused the
   * validator to throw.
   *
   * @returns The issues, or `null` if the event matches.
   */
  takeReceived(event: EbsocketEvent): readonly string[] | null {
    if (!this.#definitions) return null;
    const { value, issues } = this.#check(this.#definitions, event.event, event.__dict__);
    if (issues) return issues;
    event.__dict__ = value as OpenAttributes;
    return null;
  }

  /**
   * Checks an event that is only passed on. Never throws.
   *
   * @returns The issues, or `null` if the event matches.
   */
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
 * Returns whether `value` has the shape of definitions. They may come from another copy of this
 * library, so the check looks at the members and not at the class.
 */
export function isDefinitions(value: unknown): value is EventDefinitions<object> {
  if (typeof value !== "object" || value === null) return false;
  return "names" in value && Array.isArray(value.names) &&
    "check" in value && typeof value.check === "function";
}
