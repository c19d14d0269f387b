/**
 * Owns what the commands say of files that they cannot read.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { messageOf, StartError } from "./errors.ts";

/**
 * What is in the file at `path`, of which an error says `what` it was to be.
 *
 * @throws {StartError} If it cannot be read, or is no text.
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

/** Why the file at `path` cannot be read, and what to do about it. */
export function whyUnreadable(error: unknown, path: string): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not permit it; run it with -A or --allow-read=${printable(path)}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not permit it";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof TypeError) return "it is not text in UTF-8";
  return messageOf(error);
}
