/**
 * JSON that keeps the digits of its numbers.
 *
 * @module
 */

/** The members of a JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The parts of the newer JSON functions that TypeScript does not know. */
interface ExactJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context?: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON?(text: string): unknown;
}

const exact = JSON as unknown as ExactJson;

/**
 * Returns the value of a JSON text, in which a number that JavaScript cannot represent stays as
 * written. {@link toJson} writes it. Older browsers round such numbers.
 *
 * @throws {SyntaxError} If it is not JSON.
 */
export function parseJson(text: string): unknown {
  return exact.parse(text, (_, value, context) => {
    const source = context?.source;
    const isRounded = typeof value === "number" && source !== undefined && `${value}` !== source;
    return isRounded && exact.rawJSON ? exact.rawJSON(source) : value;
  });
}

/** Returns the JSON text of a value, indented by `indent` spaces if that is not 0. */
export function toJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent);
}
