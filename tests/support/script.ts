/** Programs for tests that start some, in the one language that every machine with Deno has. */

/**
 * The command line, for any shell, of a program in JavaScript. The source is in it, written so that no
 * shell finds anything in there that means something to it.
 */
export function script(source: string): string {
  const base64 = new TextEncoder().encode(source).toBase64();
  return `"${Deno.execPath()}" run -A --quiet "data:application/javascript;base64,${base64}"`;
}
