/**
 * Definitions of a program's events: one schema for each name, which provides both the types and
 * the checks.
 *
 * @example One definition for types and checks
 * ```ts
 * import { EbsocketClient } from "@ebsockets/relay/client";
 * import { defineEvents } from "@ebsockets/relay/define";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 * import { z } from "zod";
 *
 * const chat = defineEvents({
 *   message: z.object({ content: z.string(), priority: z.number().default(0) }),
 *   join: z.object({ name: z.string() }),
 * });
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient({ events: chat });
 * await client.connectTo(relay.server.address);
 * client.send("message", { content: "hi" });
 * for await (const event of client) {
 *   if (event.compareType("message")) console.log(event.__dict__.priority.toFixed()); // 0
 *   break;
 * }
 * ```
 *
 * @module
 */

export { EbsocketError, EventSchemaError } from "./errors.ts";
export {
  type CheckedAttributes,
  defineEvents,
  type EventDefinitions,
  type EventOptions,
  type EventSchemas,
  type ReceivedEvents,
  type SendableEvents,
} from "./schema/definitions.ts";
export type {
  SchemaInput,
  SchemaOutput,
  StandardSchema,
  StandardSchemaIssue,
  StandardSchemaProps,
  StandardSchemaResult,
} from "./schema/standard_schema.ts";
export type { OpenAttributes, OpenEvents, Validated } from "./protocol/event.ts";
