/**
 * The sources of the page, and their digest. A bundle whose digest is another one is stale.
 *
 * @module
 */

import { withoutComments } from "../tests/support/source.ts";

const root = new URL("../", import.meta.url);

/** The text before the digest in the header of a bundle. */
export const SOURCES_HEADER = "Sources: ";

/** The imports and re-exports of other files of this repository that are more than types. */
const IMPORT = /^(?:import|export)\s(?!type\b)[^;"']*?\sfrom\s+"(\.[^"]+)"/gm;

/** Returns the paths of all files that the page is made of. */
export async function sourcesOf(): Promise<string[]> {
  const found = new Set(["page/page.html", "page/page.css", "page/main.ts"]);
  // The set grows while it is iterated over.
  for (const path of found) {
    for (const [, specifier] of (await read(path)).matchAll(IMPORT)) {
      found.add(new URL(specifier!, `file:///${path}`).pathname.slice(1));
    }
  }
  return [...found].sort();
}

/** Returns the digest of all these files. Comments and the layout of code do not change it. */
export async function digestOf(): Promise<string> {
  const texts = await Promise.all((await sourcesOf()).map(async (path) => {
    const text = await read(path);
    return (path.endsWith(".ts") ? withoutComments(text) : text).replaceAll(/\s+/g, " ");
  }));
  const bytes = new TextEncoder().encode(texts.join("\0"));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, root));
}
