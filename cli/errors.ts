/**
 * The two ways in which a command fails, and the texts of failures.
 *
 * @module
 */

import type { CloseInfo } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";

/** An invalid command line. The exit code is 2. */
export class UsageError extends Error {}

/** A condition that keeps the command from its work. The exit code is 1. */
export class StartError extends Error {}

/** Returns the message of an error, for a person. */
export function messageOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}

/** Returns why a connection ended, for a person. */
export function describeEnd({ reason, detail }: CloseInfo): string {
  return detail ? `${reason}: ${printable(detail)}` : reason;
}

/**
 * Returns which event the relay refuses and why, for a person. The name is missing if the relay
 * gives none.
 */
export function describeRefusal(
  name: string | null | undefined,
  { reason, detail }: { readonly reason: string; readonly detail: string },
): string {
  const which = name == null ? "an event" : quote(name);
  const why = [reason, detail].filter((text) => text !== "").join(": ");
  return `The relay refuses ${which}: ${printable(why)}`;
}

/** Returns how to let the command read and write `folder`. */
export function explainNoReadOrWrite(folder: string): string {
  const dir = printable(folder);
  return `Deno does not permit it; run it with -A or --allow-read=${dir} --allow-write=${dir}`;
}

/** Returns why the file at `path` cannot be read, and what to do about it. */
export function explainReadError(error: unknown, path: string): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not permit it; run it with -A or --allow-read=${printable(path)}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not permit it";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof TypeError) return "it is not UTF-8 text";
  return messageOf(error);
}
