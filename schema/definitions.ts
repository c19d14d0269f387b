/**
 * The definitions of a program's events: one schema for each name, which provides both the types
 * and the checks.
 *
 * @module
 */

import { checkName } from "../protocol/names.ts";
import type { OpenEvents, Validated } from "../protocol/event.ts";
import { inspect, quote } from "../protocol/printable.ts";
import type {
  SchemaInput,
  SchemaOutput,
  StandardSchema,
  StandardSchemaProps,
} from "./standard_schema.ts";
import { showIssues, showText } from "./standard_schema.ts";
import { TextMap } from "../protocol/text_map.ts";

/** Schemas for the attributes of events, by event name. */
export type EventSchemas = Readonly<Record<string, StandardSchema<unknown, object>>>;

/**
 * The result of {@link defineEvents}. It is immutable.
 *
 * @typeParam Received The event map of received events: the outputs of the validators.
 * @typeParam Sendable The event map of sent events: the inputs of the validators.
 */
export interface EventDefinitions<
  Received extends object = OpenEvents,
  Sendable extends object = Received,
> {
  /** The names of the events, in the order of their definition. */
  readonly names: readonly string[];
  /**
   * Checks the attributes of an event. Attributes of an event that is not defined do not match.
   *
   * @param name The name of the event.
   * @param attributes The attributes, as JSON carries them.
   * @returns The output of the validator, or the issues.
   * @throws {TypeError} If the validator is asynchronous, or throws.
   */
  check(name: string, attributes: unknown): CheckedAttributes;
  /** Holds the types. It is never set. */
  readonly types?: { readonly received: Received; readonly sendable: Sendable };
}

/** The output of a validator for the attributes of an event, or the issues that it found. */
export type CheckedAttributes =
  | { readonly value: object; readonly issues?: undefined }
  | { readonly value?: undefined; readonly issues: readonly string[] };

/** The option of clients and systems that checks events. */
export interface EventOptions<M extends object = OpenEvents, S extends object = M> {
  /**
   * The event definitions, made by {@link defineEvents}. Events that do not match cannot be sent.
   * Received events that do not match are reported separately from the others.
   *
   * @default {undefined}
   */
  readonly events?: EventDefinitions<M, S>;
}

/**
 * The event map for receiving, according to the definitions `D`.
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

/** The event map for sending, according to the definitions `D`. See {@link ReceivedEvents}. */
export type SendableEvents<D extends EventDefinitions<object>> = NonNullable<
  D["types"]
>["sendable"];

/**
 * Defines the events of a program. Each name gets a schema for its attributes, from any library
 * that implements [Standard Schema](https://standardschema.dev), such as Zod, Valibot or ArkType.
 *
 * A schema must describe an object as JSON carries it. Asynchronous validators are not supported.
 *
 * Attributes are sent as given. Defaults and transformations of the schema apply on receipt. Before
 * sending, attributes are checked in the form in which they arrive: a `Date` as its text, and
 * without members that are `undefined`.
 *
 * Each name stands for itself. Patterns cannot be defined, and events of any other name do not
 * match.
 *
 * @param schemas A plain object with one schema for each event name.
 * @returns The definitions, for the `events` option of clients and systems.
 * @throws {TypeError} If a schema is invalid or implements another version. The message names its
 * event.
 * @throws {RangeError} If a name is not 1 to 255 bytes of UTF-8.
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

/**
 * Returns `schemas` if it is a plain object, otherwise throws a `TypeError`. A literal with a
 * `__proto__` key, for example, is not plain.
 */
function checkPlain(schemas: EventSchemas): EventSchemas {
  const isObject = typeof schemas === "object" && schemas !== null;
  const prototype = isObject ? Object.getPrototypeOf(schemas) : undefined;
  if (prototype === Object.prototype || prototype === null) return schemas;
  throw new TypeError(
    `Cannot define events: expected a plain object of schemas by name, got ${inspect(schemas)}`,
  );
}

function validatorOf(name: string, schema: unknown): StandardSchemaProps {
  const canHaveMembers = typeof schema === "object" || typeof schema === "function";
  const props = canHaveMembers && schema ? Reflect.get(schema, "~standard") : undefined;
  const fault = `Invalid schema of event ${quote(name)}: expected`;
  if (typeof props !== "object" || props === null) {
    const what = 'a validator by Standard Schema, with a member "~standard"';
    throw new TypeError(`${fault} ${what}, got ${inspect(schema)}`);
  }
  const { version, validate } = props as Record<string, unknown>;
  if (version !== 1) {
    throw new TypeError(`${fault} version 1 of Standard Schema, got ${inspect(version)}`);
  }
  if (typeof validate !== "function") {
    throw new TypeError(`${fault} a function "validate", got ${inspect(validate)}`);
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
    if ("then" in result) {
      result.then(undefined, () => {}); // A rejection is ignored.
      throw new Error("its validator is asynchronous"); // or, with Zod, it has thrown
    }
    if (result.issues) return { issues: showIssues(result.issues) };
    const { value } = result;
    if (kindOf(value) === "Object") return { value: value as object };
    return { issues: [`its validator gives ${kindOf(value)} instead of an object`] };
  } catch (cause) {
    const why = showText(cause instanceof Error ? cause.message : String(cause));
    throw new TypeError(`Cannot check event ${quote(name)}: ${why}`, { cause });
  }
}

/** Returns `Object` for values that can be attributes, otherwise `Array`, `String`, `Undefined`… */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}
