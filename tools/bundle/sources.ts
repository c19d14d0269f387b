/**
 * The source files of `client.js`, and a hash of them, by which a test finds a bundle that is stale.
 *
 * @module
 */

import { specifiersOf, withoutComments } from "../../tests/support/source.ts";

const ROOT = new URL("../../", import.meta.url);

/** The file that the bundle begins with. */
export const ENTRY = "tools/bundle/entry.ts";

/** Modules that do more than a page needs, and those that take their places. */
export const STAND_INS: Readonly<Record<string, string>> = {
  "@std/async/abortable": "tools/bundle/abortable.ts",
  "net/turn.ts": "tools/bundle/turn.ts",
  "protocol/decoder.ts": "tools/bundle/decoder.ts",
  "protocol/raw_event.ts": "tools/bundle/raw_event.ts",
  "protocol/report.ts": "tools/bundle/report.ts",
  "protocol/validator.ts": "tools/bundle/validator.ts",
};

/** The files that make the bundle of the others. */
const TOOLS = ["tools/bundle.ts", "tools/bundle/sources.ts"];

/** Imports and exports of types alone, which leave nothing in a bundle. */
const TYPES = /^(?:import|export) type [^;]*;/gm;

/**
 * Reads all source files of `client.js`, by their paths. They have no comments, and no imports of
 * types.
 */
export async function readSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  const paths = new Set([ENTRY]);
  for (const path of paths) {
    const code = await readCode(path);
    sources.set(path, code);
    for (const specifier of specifiersOf(code)) {
      const [target, isOurs] = resolve(specifier, path);
      if (isOurs) paths.add(target);
    }
  }
  return sources;
}

async function readCode(path: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  return withoutComments(text.replaceAll("\r\n", "\n")).replace(TYPES, "");
}

/**
 * Returns a hash of all that `client.js` is made of: its source files, the versions of its
 * libraries, and the tool.
 */
export async function hashSources(): Promise<string> {
  const sources = await readSources();
  for (const path of TOOLS) sources.set(path, await readCode(path));
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const libraries = Object.entries(imports).filter(([name]) => /^@std\/|^terser$/.test(name));
  const sorted = Array.from(sources, ([path, code]) => [path, code.replace(/\s+/g, " ")])
    .sort(([one], [other]) => one! < other! ? -1 : 1);
  const bytes = new TextEncoder().encode(JSON.stringify([sorted, libraries]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Returns the module that an import leads to, and whether that is a file of this package. */
function resolve(specifier: string, importer: string): [target: string, isOurs: boolean] {
  const isRelative = specifier.startsWith(".");
  const name = isRelative ? new URL(specifier, new URL(importer, ROOT)).href : specifier;
  const target = isRelative ? name.slice(ROOT.href.length) : specifier;
  const standIn = STAND_INS[target];
  return [standIn ?? target, isRelative || standIn !== undefined];
}
