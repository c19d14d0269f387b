/**
 * Owns the two ways in which a command fails, and how a failure is told. Must not know which commands
 * there are.
 *
 * @module
 */

import type { CloseInfo, CloseReason } from "../errors.ts";
import { printable } from "../printable.ts";

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

/** Whether a connection that has ended so has gone wrong: others end because somebody wanted it. */
export function isFault(reason: CloseReason): boolean {
  return reason !== "local" && reason !== "eof" && reason !== "shutdown";
}
