/**
 * Text to bytes of UTF-8, and back.
 *
 * @module
 */

export const encoder = new TextEncoder();

/** Keeps a byte order mark, and replaces bytes that are not UTF-8. */
export const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Returns the length of a text in bytes. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** No bytes. */
export const NOTHING = new Uint8Array(0);
