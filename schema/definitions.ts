/**
 * Owns the definition of a program's events: a schema for each name, from which both the types and
 * the checks come. Must not know who sends, receives or relays.
 *
 * @module
 */

import { checkName } from "../protocol/encoder.ts";
import type { OpenEvents, Validated } from "../protocol/event.ts";
import { inspect, quote } from "../protocol/printable.ts";
import {
  type SchemaInput,
  type SchemaOutput,
  showIssues,
  showText,
  type StandardSchema,
  type StandardSchemaProps,
} from "./standard_schema.ts";
import { TextMap } from "../protocol/text_map.ts";

/** Schemas by the names of the events whose attributes they describe. */
export type EventSchemas = Readonly<Record<string, StandardSchema<unknown, object>>>;

/**
 * What {@link defineEvents} makes of schemas. It never changes.
 *
 * @typeParam Received The event map of what comes: what the validators give.
 * @typeParam Sendable The event map of what is sent: what the validators take.
 */
export interface EventDefinitions<
  Received extends object = OpenEvents,
  Sendable extends object = Received,
> {
  /** The names of the events, in the order in which they were defined. */
  readonly names: readonly string[];
  /**
   * Says what the validator makes of the attributes of an event, or why they do not fit. An event
   * that is not defined does not fit.
   *
   * @throws {TypeError} If the validator is asynchronous, or throws.
   */
  check(name: string, attributes: unknown): CheckedAttributes;
  /** Where the types are kept. It is never set. */
  readonly types?: { readonly received: Received; readonly sendable: Sendable };
}

/** What a validator makes of attributes, or why they do not fit. */
export type CheckedAttributes =
  | { readonly value: object; readonly issues?: undefined }
  | { readonly value?: undefined; readonly issues: readonly string[] };

/** The option of a client and of a system that checks events. */
export interface EventOptions<M extends object = OpenEvents, S extends object = M> {
  /**
   * Which events there are, by {@link defineEvents}. What does not fit cannot be sent, and is told
   * apart from the events that have been received.
   *
   * @default {undefined}
   */
  readonly events?: EventDefinitions<M, S>;
}

/**
 * The event map of what is received by the definitions `D`.
 *
 * @example Name the type of a client
 * ```ts
 * import { defineEvents, EbsocketClient } from "@ebsockets/relay";
 * import type { ReceivedEvents, SendableEvents } from "@ebsockets/relay";
 * import { z } from "zod";
 *
 * const chat = defineEvents({ join: z.object({ name: z.string().default("nobody") }) });
 * type ChatClient = EbsocketClient<ReceivedEvents<typeof chat>, SendableEvents<typeof chat>>;
 *
 * const client: ChatClient = new EbsocketClient({ events: chat });
 * console.log(client.invalidEventCount);
 * ```
 */
export type ReceivedEvents<D extends EventDefinitions<object>> = NonNullable<
  D["types"]
>["received"];

/** The event map of what can be sent by the definitions `D`, as in {@link ReceivedEvents}. */
export type SendableEvents<D extends EventDefinitions<object>> = NonNullable<
  D["types"]
>["sendable"];

/**
 * Defines the events of a program: for each name a schema of the attributes, by any library that has
 * [Standard Schema](https://standardschema.dev), such as Zod, Valibot or ArkType.
 *
 * A schema describes what JSON carries, and an object. Validators that are asynchronous cannot be
 * used. Attributes are sent as they were given, and their defaults and transformations come about
 * where they are received. They are checked as they will arrive: a `Date` as its text, and without
 * what is `undefined`. Each name stands for itself: patterns cannot be defined, and an event of
 * another name does not fit.
 *
 * @throws {TypeError} If a schema is none, or of another version; the message names its event.
 * @throws {RangeError} If a name has not 1 to 255 bytes of UTF-8.
 *
 * @example Without any library
 * ```ts
 * import { defineEvents, type StandardSchema } from "@ebsockets/relay";
 * import { assertEquals } from "@std/assert/equals";
 *
 * const move: StandardSchema<{ x: number }> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "my-game",
 *     validate(value) {
 *       const { x } = value as { x?: unknown };
 *       if (typeof x === "number") return { value: { x } };
 *       return { issues: [{ path: ["x"], message: "Expected a number" }] };
 *     },
 *   },
 * };
 * const game = defineEvents({ move });
 * assertEquals(game.names, ["move"]);
 * assertEquals(game.check("move", { x: 1, y: 2 }), { value: { x: 1 } });
 * assertEquals(game.check("move", { x: "1" }), { issues: ["x: Expected a number"] });
 * ```
 */
export function defineEvents<S extends EventSchemas>(schemas: S): EventDefinitions<
  Validated & { [N in keyof S & string]: SchemaOutput<S[N]> },
  { [N in keyof S & string]: SchemaInput<S[N]> }
> {
  const validators = new TextMap<StandardSchemaProps>();
  for (const [name, schema] of Object.entries(checkPlain(schemas))) {
    validators.set(checkName(name), validatorOf(name, schema));
  }
  return Object.freeze({
    names: Object.freeze(Array.from(validators, ([name]) => name)),
    check: (name: string, attributes: unknown) => check(validators.get(name), name, attributes),
  });
}

/** `schemas` if they are a plain object: a literal with a `__proto__` in it, for one, is none. */
function checkPlain(schemas: EventSchemas): EventSchemas {
  const isObject = typeof schemas === "object" && schemas !== null;
  const prototype = isObject ? Object.getPrototypeOf(schemas) : undefined;
  if (prototype === Object.prototype || prototype === null) return schemas;
  throw new TypeError(
    `Cannot define events: expected a plain object of schemas by name, got ${show(schemas)}`,
  );
}

function validatorOf(name: string, schema: unknown): StandardSchemaProps {
  const canHaveMembers = typeof schema === "object" || typeof schema === "function";
  const props = canHaveMembers && schema ? Reflect.get(schema, "~standard") : undefined;
  const fault = `Invalid schema of event ${quote(name)}: expected`;
  if (typeof props !== "object" || props === null) {
    const what = 'a validator by Standard Schema, with a member "~standard"';
    throw new TypeError(`${fault} ${what}, got ${show(schema)}`);
  }
  const { version, validate } = props as Record<string, unknown>;
  if (version !== 1) {
    throw new TypeError(`${fault} version 1 of Standard Schema, got ${show(version)}`);
  }
  if (typeof validate !== "function") {
    throw new TypeError(`${fault} a function "validate", got ${show(validate)}`);
  }
  return props as StandardSchemaProps;
}

function check(
  validator: StandardSchemaProps | undefined,
  name: string,
  attributes: unknown,
): CheckedAttributes {
  if (!validator) return { issues: ["no event of this name is defined"] };
  try {
    const result = validator.validate(attributes);
    if (typeof result !== "object" || result === null) {
      throw new Error(`its validator gives ${kindOf(result)} instead of a result`);
    }
    if ("then" in result) throw refuseLateAnswer(result);
    if (result.issues) return { issues: showIssues(result.issues) };
    const { value } = result;
    if (kindOf(value) === "Object") return { value: value as object };
    return { issues: [`its validator gives ${kindOf(value)} instead of an object`] };
  } catch (cause) {
    const why = showText(cause instanceof Error ? cause.message : String(cause));
    throw new TypeError(`Cannot check event ${quote(name)}: ${why}`, { cause });
  }
}

/** Why an answer that has yet to come is of no use. Nobody waits for it, so it may be an error. */
function refuseLateAnswer(answer: Promise<unknown>): Error {
  answer.then(undefined, () => {});
  return new Error("its validator is asynchronous"); // or, with Zod, it has thrown
}

/** `Object` for what can be attributes of an event, or `Array`, `String`, `Undefined`… */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function show(value: unknown): string {
  return inspect(value);
}
