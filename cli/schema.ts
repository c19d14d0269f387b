/**
 * Loads the event definitions that a user's module exports.
 *
 * @module
 */

import { isDefinitions } from "../schema/checker.ts";
import type { EventDefinitions } from "../define.ts";
import { printable } from "../protocol/printable.ts";
import { showText } from "../schema/standard_schema.ts";
import { StartError } from "./errors.ts";
import { RUN } from "./program.ts";

/** The start of a URL. A single letter is the drive of a Windows path. */
const SCHEME = /^[a-z][\w+.-]+:/i;

/**
 * Deno's error for an import such as "zod". An installed command does not read the user's
 * `deno.json`.
 */
const BARE_IMPORT = /^(Import|Relative import path) "[^"]*" not /;

/** The possible exports with the definitions, in order of preference. */
const EXPORTS = ["default", "events"];

/**
 * Runs the module at `where`, a path or a URL. Resolves to the definitions that it exports as
 * `default` or `events`. Deno's permissions decide which modules may be loaded.
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
    }: expected the result of defineEvents() as its export ` +
      `"default" or "events", but ${showText(found)}`,
  );
}

async function load(where: string): Promise<Record<string, unknown>> {
  try {
    // Imported on demand, so that only commands with a schema load Node's modules.
    const { pathToFileURL } = await import("node:url");
    return await import(SCHEME.test(where) ? where : pathToFileURL(where).href);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const [why] = message.split("\n"); // The other lines show source text or a chain of causes.
    const hint = BARE_IMPORT.test(why!)
      ? `; to use the imports of a deno.json, run ${
        RUN.replace(" jsr:", " --config deno.json jsr:")
      }`
      : "";
    const text = `Cannot load the schema from ${printable(where)}: ${showText(why!)}${hint}`;
    throw new StartError(text, { cause });
  }
}
