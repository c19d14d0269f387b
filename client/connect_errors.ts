/**
 * The errors of failed attempts to connect.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import { type CloseInfo, ConnectError } from "../errors.ts";

/** Creates the error for a connection to `address` that failed because of `cause`. */
export function connectError(address: Address, cause: unknown): ConnectError {
  const why = describeConnectError(cause);
  return new ConnectError(`Cannot connect to ${formatAddress(address)}: ${why}`, { cause });
}

/** Creates the error for a connection to `address` that ended before it was ready. */
export function endedError(address: Address, { reason, detail }: CloseInfo): ConnectError {
  const why = detail ? `${reason}: ${detail}` : reason;
  return new ConnectError(
    `Cannot connect to ${formatAddress(address)}: the connection ended with ${why}`,
    { reason },
  );
}

/** Returns a description of a failed connection attempt, with advice where possible. */
export function describeConnectError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "ConnectionRefused") return "connection refused; is a server running there?";
  return error.message;
}

/** Returns whether `error` reports a missing permission of Deno. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}
