/**
 * What the page says when something does not work, as sentences for a person.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { clockTime, messageOf } from "./pretty.ts";

/** Time within which a request must be answered, in milliseconds. */
export const REQUEST_TIMEOUT_MS = 5000;

/** Returns why there is no connection, after one with this token, or without one, was refused. */
export function describeUnauthorized(token: string | null): string {
  return token === null ? "This relay asks for a token." : "This token is wrong.";
}

/** Returns that a connection was lost at `at`, in milliseconds since 1970. */
export function describeLoss(at: number): string {
  return `No relay since ${clockTime(at)}; trying again`;
}

/** Returns why there are no figures. `code` is that of the error. */
export function describeNoFigures(code: "not-allowed" | "not-supported"): string {
  const why = code === "not-allowed" ? " (--no-inspect)" : "";
  return `This relay gives no figures${why}. Tail and Send work.`;
}

/** Returns why an event with this name was not published. */
export function describePublishFailure(error: unknown, name: string): string {
  // A person knows the event by its name, and not by the class that the library makes of it.
  const shown = printable(name);
  return messageOf(error).replace(`EbsocketEvent<${shown}>`, () => shown);
}

/** Returns why a request with this name has no reply. */
export function describeRequestFailure(error: unknown, name: string): string {
  if ((error as { code?: string }).code !== "timeout") return describePublishFailure(error, name);
  const seconds = REQUEST_TIMEOUT_MS / 1000;
  return `No reply to ${printable(name)} within ${seconds} s; it may or may not have been done`;
}
