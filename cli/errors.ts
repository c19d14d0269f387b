/**
 * Owns the two ways in which a command fails, and how a failure is told. Must not know which commands
 * there are.
 *
 * @module
 */

import type { CloseInfo, CloseReason } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";

/** A command line that makes no sense: the exit code is 2. */
export class UsageError extends Error {}

/** Something without which the command cannot do its work: the exit code is 1. */
export class StartError extends Error {}

/** What an error says, for a person. */
export function messageOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}

/** Why a connection has ended, for a person. */
export function describeEnd({ reason, detail }: CloseInfo): string {
  return detail ? `${reason}: ${printable(detail)}` : reason;
}

/** What the relay has not passed on, and why, for a person; `name` is missing where it says no name. */
export function describeRefusal(
  name: string | null | undefined,
  { reason, detail }: { readonly reason: string; readonly detail: string },
): string {
  const which = name == null ? "an event" : quote(name);
  const why = [reason, detail].filter((text) => text !== "").join(": ");
  return `The relay refuses ${which}: ${printable(why)}`;
}

/** Whether a connection that has ended so has gone wrong: others end because somebody wanted it. */
export function isFault(reason: CloseReason): boolean {
  return reason !== "local" && reason !== "eof" && reason !== "shutdown";
}
