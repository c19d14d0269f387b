/**
 * Owns the interface to validators that others have written, and how their issues are shown. Must
 * not know events.
 *
 * The interface is version 1 of [Standard Schema](https://standardschema.dev), as far as this
 * library uses it: Zod, Valibot, ArkType and many others have it.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";

/**
 * A validator by version 1 of Standard Schema.
 *
 * @typeParam Input What it is meant to be given.
 * @typeParam Output What it makes of that.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What makes it one. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** What makes a validator a Standard Schema. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  /** The version of the standard. */
  readonly version: 1;
  /** Who has made the validator. */
  readonly vendor: string;
  /** Gives what it makes of `value`, or what is wrong with it. */
  readonly validate: (
    value: unknown,
  ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
  /** Where the types are kept. Nobody needs to set it. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
}

/** What a validator says of a value. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardSchemaIssue[] };

/** One thing that is wrong with a value. */
export interface StandardSchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where: the keys that lead there. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What the schema `S` is meant to be given. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];

/** What the schema `S` makes of what it is given. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<
  S["~standard"]["types"]
>["output"];

/** How many issues of one value are shown. */
const MAX_ISSUES = 10;
/** The longest text of an issue, in characters: it may quote what a peer has sent. */
const MAX_TEXT = 200;

/** A key that needs no quotes in a path. */
const PLAIN_KEY = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/**
 * Issues as text that is fit for a log: `user.tags[2]: Expected a string`. Of many, the first ten and
 * how many more there are.
 */
export function showIssues(issues: readonly StandardSchemaIssue[]): string[] {
  const shown: string[] = [];
  for (const issue of issues) {
    if (shown.length === MAX_ISSUES) {
      shown.push(`${issues.length - MAX_ISSUES} more`);
      break;
    }
    shown.push(showIssue(issue));
  }
  return shown.length > 0 ? shown : ["its validator does not say why"];
}

function showIssue({ message, path = [] }: StandardSchemaIssue): string {
  const place = path.reduce<string>(addKey, "");
  // Some validators begin their messages with the place.
  const isPlaced = place === "" || message.startsWith(place);
  return showText(isPlaced ? message : `${place}: ${message}`);
}

function addKey(place: string, step: PropertyKey | { readonly key: PropertyKey }): string {
  const key = typeof step === "object" ? step.key : step;
  if (typeof key !== "string") return `${place}[${String(key)}]`;
  if (!PLAIN_KEY.test(key)) return `${place}[${JSON.stringify(key)}]`;
  return place === "" ? key : `${place}.${key}`;
}

/** What a validator says, printable, and cut if it is long. */
export function showText(text: string): string {
  const isLong = text.length > MAX_TEXT;
  return printable((isLong ? `${text.slice(0, MAX_TEXT)}…` : text).toWellFormed());
}
