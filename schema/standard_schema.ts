/**
 * The interface to validators of other libraries, and the text form of the issues they report.
 *
 * The interface is version 1 of [Standard Schema](https://standardschema.dev), as far as this
 * library uses it. Zod, Valibot, ArkType and many others implement it.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";

/**
 * A validator that implements version 1 of Standard Schema.
 *
 * @typeParam Input The type of the values that it accepts.
 * @typeParam Output The type of the values that it produces.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** The properties of the standard. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** The properties of a validator that implements Standard Schema. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  /** The version of the standard. */
  readonly version: 1;
  /** The name of the library that made the validator. */
  readonly vendor: string;
  /** Validates `value`. Returns the output, or the issues. */
  readonly validate: (
    value: unknown,
  ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
  /** Holds the types. It need not be set. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
}

/** The result of a validation. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardSchemaIssue[] };

/** A single mismatch between a value and its schema. */
export interface StandardSchemaIssue {
  /** A description of the mismatch. */
  readonly message: string;
  /** The keys that lead to the mismatch. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The type of the values that the schema `S` accepts. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];

/** The type of the values that the schema `S` produces. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<
  S["~standard"]["types"]
>["output"];

/** How many issues of one value are shown. */
const MAX_ISSUES = 10;
/** The longest text of an issue, in characters. It may quote data from a peer. */
const MAX_TEXT = 200;

/** A key that needs no quotes in a path. */
const PLAIN_KEY = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/**
 * Returns issues as text fit for a log, such as `user.tags[2]: Expected a string`. After the first
 * ten, only the number of the remaining issues is given.
 */
export function showIssues(issues: readonly StandardSchemaIssue[]): string[] {
  const shown = issues.slice(0, MAX_ISSUES).map(showIssue);
  if (issues.length > MAX_ISSUES) shown.push(`${issues.length - MAX_ISSUES} more`);
  return shown.length > 0 ? shown : ["its validator does not say why"];
}

function showIssue({ message, path = [] }: StandardSchemaIssue): string {
  const place = path.reduce<string>(addKey, "");
  // Some validators begin their messages with the path.
  const isPlaced = place === "" || message.startsWith(place);
  return showText(isPlaced ? message : `${place}: ${message}`);
}

function addKey(place: string, step: PropertyKey | { readonly key: PropertyKey }): string {
  const key = typeof step === "object" ? step.key : step;
  if (typeof key !== "string") return `${place}[${String(key)}]`;
  if (!PLAIN_KEY.test(key)) return `${place}[${JSON.stringify(key)}]`;
  return place === "" ? key : `${place}.${key}`;
}

/** Returns the text of a validator in printable form, cut if it is long. */
export function showText(text: string): string {
  const isLong = text.length > MAX_TEXT;
  return printable((isLong ? `${text.slice(0, MAX_TEXT)}…` : text).toWellFormed());
}
