/**
 * Events: a name with attributes, and their JSON bytes, in both directions.
 *
 * @example Encode an event and decode it again
 * ```ts
 * import { EbsocketEvent } from "@ebsockets/relay/event";
 * import { assertEquals } from "@std/assert/equals";
 *
 * const event = new EbsocketEvent("message", { content: "hi" });
 * const bytes = event.asBytes();
 * assertEquals(new TextDecoder().decode(bytes), '{"event":"message","__dict__":{"content":"hi"}}');
 * assertEquals(EbsocketEvent.fromBytes(bytes).getAttribute("content"), "hi");
 * ```
 *
 * @module
 */

export { EbsocketError, EventFormatError } from "./errors.ts";
export {
  type BareName,
  type Carried,
  type CarriedEvents,
  EbsocketEvent,
  type EventNamed,
  type EventOf,
  type OpenAttributes,
  type OpenEvents,
  type SendableAttributes,
  type SendableEvent,
  type Validated,
} from "./protocol/event.ts";
export { RawEvent } from "./protocol/raw_event.ts";
