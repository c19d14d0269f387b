/**
 * Owns how the command gets the definitions of events that a file of its user has. Must not know what
 * they are for.
 *
 * @module
 */

import { isDefinitions } from "../schema/checker.ts";
import type { EventDefinitions } from "../schema/definitions.ts";
import { printable } from "../protocol/printable.ts";
import { showText } from "../schema/standard_schema.ts";
import { StartError } from "./errors.ts";
import { RUN } from "./program.ts";

/** What begins like a URL. One letter is the drive of a Windows path. */
const SCHEME = /^[a-z][\w+.-]+:/i;

/** What Deno says of an import such as "zod": an installed command knows no `deno.json` of its user. */
const BARE_IMPORT = /^(Import|Relative import path) "[^"]*" not /;

/** The exports that may be the definitions, in the order in which they are looked at. */
const EXPORTS = ["default", "events"];

/**
 * Runs the module at `where`, a path or a URL, and gives the definitions that it exports as `default`
 * or `events`. Deno's permissions say which modules may be loaded.
 *
 * @throws {StartError} If it cannot be loaded, with the cause, or exports no definitions.
 */
export async function loadDefinitions(where: string): Promise<EventDefinitions<object>> {
  const exported = await load(where);
  for (const name of EXPORTS) {
    const value = exported[name];
    if (isDefinitions(value)) return value;
  }
  const names = Object.keys(exported);
  const wrong = EXPORTS.find((name) => name in exported);
  const found = wrong !== undefined
    ? `its export ${wrong} is something else`
    : names.length > 0
    ? `it exports ${names.join(", ")}`
    : "it exports nothing";
  throw new StartError(
    `Cannot use the schema in ${
      printable(where)
    }: expected what defineEvents() gives as its export ` +
      `"default" or "events", and ${showText(found)}`,
  );
}

async function load(where: string): Promise<Record<string, unknown>> {
  try {
    // Only who has a schema is to wait for Node's modules.
    const { pathToFileURL } = await import("node:url");
    return await import(SCHEME.test(where) ? where : pathToFileURL(where).href);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const [why] = message.split("\n"); // The rest shows source text or a chain of causes.
    const hint = BARE_IMPORT.test(why!)
      ? `; names that a deno.json gives need ${RUN.replace(" jsr:", " --config deno.json jsr:")}`
      : "";
    const text = `Cannot load the schema from ${printable(where)}: ${showText(why!)}${hint}`;
    throw new StartError(text, { cause });
  }
}
