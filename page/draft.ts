/**
 * The attributes of an event as a person writes them into a form.
 *
 * @module
 */

import { messageOf } from "./pretty.ts";

/** The attributes of an event, or why a text is not that. */
export type Draft =
  | { readonly attributes: Readonly<Record<string, unknown>>; readonly fault: "" }
  | { readonly attributes: null; readonly fault: string };

/** Passes a value on. Newer browsers also pass the source text of the value. */
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/**
 * Reads attributes. The fault is a sentence for a person. No text at all stands for no attributes.
 */
export function readAttributes(text: string): Draft {
  if (text.trim() === "") return { attributes: {}, fault: "" };
  let rounded: string | null = null;
  const watch: Reviver = (_, value, context) => {
    const source = context?.source;
    if (source !== undefined && typeof value === "number" && !isExact(value, source)) {
      rounded ??= source;
    }
    return value;
  };
  let value: unknown;
  try {
    value = JSON.parse(text, watch);
  } catch (error) {
    return faulty(`This is not JSON: ${messageOf(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return faulty('Attributes are an object, such as {"content":"hi"}');
  }
  if (rounded !== null) {
    return faulty(
      `A browser would round the number ${rounded}; write it as text`,
    );
  }
  return { attributes: value as Record<string, unknown>, fault: "" };
}

function faulty(fault: string): Draft {
  return { attributes: null, fault };
}

/** Returns whether JavaScript has the number that was written, as far as integers are concerned. */
function isExact(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return false;
  return Number.isSafeInteger(value) || !/^-?\d+$/.test(source) || BigInt(source) === BigInt(value);
}
