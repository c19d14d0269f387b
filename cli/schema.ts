/**
 * Owns how the definitions of events get from a file into a command.
 *
 * @module
 */

import { pathToFileURL } from "node:url";
import type { EventDefinitions } from "../define.ts";
import { printable } from "../printable.ts";
import { StartError } from "./errors.ts";
import { whyUnreadable } from "./files.ts";

/**
 * The definitions that the module in a file exports by default, or as `events`.
 *
 * @throws {StartError} If it cannot be loaded, or exports none.
 */
export async function loadEvents(file: string): Promise<EventDefinitions> {
  const { default: byDefault, events } = await load(file);
  const found = [byDefault, events].find(isDefinitions);
  if (found) return found;
  throw new StartError(
    `Cannot use the schema ${printable(file)}: it must export what defineEvents() gives, ` +
      'by default or as "events"',
  );
}

async function load(file: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(await Deno.realPath(file)).href);
  } catch (error) {
    // A TypeError is what Deno throws for a module that it cannot make sense of.
    const why = error instanceof TypeError ? printable(error.message) : whyUnreadable(error, file);
    throw new StartError(`Cannot load the schema ${printable(file)}: ${why}`);
  }
}

function isDefinitions(value: unknown): value is EventDefinitions {
  return typeof value === "object" && value !== null && "check" in value &&
    typeof value.check === "function";
}
