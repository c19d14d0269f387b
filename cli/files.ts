/**
 * Reads text files, and explains why a file cannot be read.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { messageOf, StartError } from "./errors.ts";

/**
 * Resolves to the text of the file at `path`.
 *
 * @param what The expected content, for the error.
 *
 * @throws {StartError} If it cannot be read, or is not text.
 */
export async function readText(path: string, what: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(path));
  } catch (error) {
    throw new StartError(
      `Cannot read ${what} from ${printable(path)}: ${whyUnreadable(error, path)}`,
    );
  }
}

/** Returns why the file at `path` cannot be read, and what to do about it. */
export function whyUnreadable(error: unknown, path: string): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not permit it; run it with -A or --allow-read=${printable(path)}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not permit it";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof TypeError) return "it is not UTF-8 text";
  return messageOf(error);
}
