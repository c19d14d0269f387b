/** Validators made by hand, for tests of what any validator may do. */

import type { StandardSchema, StandardSchemaResult } from "../../define.ts";

/** A schema that answers what `validate` does. */
export function schemaOf<T extends object>(
  validate: (value: unknown) => StandardSchemaResult<T> | Promise<StandardSchemaResult<T>>,
): StandardSchema<T> {
  return { "~standard": { version: 1, vendor: "test", validate } };
}

/** A schema of attributes with a `content` that is a string. */
export const MESSAGE: StandardSchema<{ content: string }> = schemaOf((value) => {
  const { content } = value as { content?: unknown };
  return typeof content === "string"
    ? { value: { content } }
    : { issues: [{ message: "Expected a string", path: ["content"] }] };
});

/** A schema that throws, as one of a program with a mistake does. */
export const THROWING: StandardSchema<{ content: string }> = schemaOf(() => {
  throw new Error("boom");
});

/** A schema that answers later, and then with an error. */
export const ASYNCHRONOUS: StandardSchema<{ content: string }> = schemaOf(() =>
  Promise.reject(new Error("late"))
);
