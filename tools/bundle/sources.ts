/**
 * The source files of the bundles for browsers, and a hash of them, by which a test finds a bundle
 * that is stale.
 *
 * @module
 */

import { specifiersOf, withoutComments } from "../../tests/support/source.ts";

const ROOT = new URL("../../", import.meta.url);

/** The parts of a bundle. */
export interface Bundle {
  /** The files that it begins with. */
  readonly entries: readonly string[];
  /** Modules that do more than a page needs, and those that take their places. */
  readonly standIns: Readonly<Record<string, string>>;
  /** The files that make it of the others. */
  readonly tools: readonly string[];
}

/** The client, `client.js`. */
export const CLIENT: Bundle = {
  entries: ["tools/bundle/entry.ts"],
  standIns: {
    "@std/async/abortable": "tools/bundle/abortable.ts",
    "net/turn.ts": "tools/bundle/turn.ts",
    "protocol/decoder.ts": "tools/bundle/decoder.ts",
    "protocol/raw_event.ts": "tools/bundle/raw_event.ts",
    "protocol/report.ts": "tools/bundle/report.ts",
    "protocol/validator.ts": "tools/bundle/validator.ts",
  },
  tools: ["tools/bundle.ts", "tools/bundle/sources.ts"],
};

/** The page. */
export const PAGE: Bundle = {
  entries: ["page/page.html", "page/page.css", "page/main.ts"],
  standIns: {},
  tools: ["tools/page.ts", "tools/bundle/sources.ts"],
};

/** Imports and exports of types alone, which leave nothing in a bundle. */
const TYPES = /^(?:import|export) type [^;]*;/gm;

/**
 * Reads all source files of a bundle, by their paths. Code has no comments and no imports of types.
 */
export async function readSources(
  { entries, standIns }: Pick<Bundle, "entries" | "standIns">,
): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  const paths = new Set(entries);
  for (const path of paths) {
    const text = await read(path);
    sources.set(path, text);
    for (const specifier of path.endsWith(".ts") ? specifiersOf(text) : []) {
      const isRelative = specifier.startsWith(".");
      const target = isRelative
        ? new URL(specifier, `file:///${path}`).pathname.slice(1)
        : specifier;
      const standIn = standIns[target];
      if (isRelative || standIn !== undefined) paths.add(standIn ?? target);
    }
  }
  return sources;
}

async function read(path: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  return path.endsWith(".ts") ? withoutComments(text).replace(TYPES, "") : text;
}

/**
 * Returns a hash of all that a bundle is made of: its source files, the versions of its libraries,
 * and the tool. The layout of the code does not count.
 */
export async function hashSources(bundle: Bundle): Promise<string> {
  const sources = await readSources(bundle);
  for (const path of bundle.tools) sources.set(path, await read(path));
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const libraries = Object.entries(imports).filter(([name]) => /^@std\/|^terser$/.test(name));
  const sorted = Array.from(sources, ([path, text]) => [path, text.replace(/\s+/g, " ")])
    .sort(([one], [other]) => one! < other! ? -1 : 1);
  const bytes = new TextEncoder().encode(JSON.stringify([sorted, libraries]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
