/**
 * Producers in control lines: clients whose events a relay counts over several connections, so that it
 * takes each of them once.
 *
 * The decoders trust no member of a line.
 *
 * @module
 */

import { byteLength } from "./utf8.ts";

/** The longest ID of a producer, in bytes. Histories name many of them, as JSON. */
const MAX_ID_BYTES = 64;

/** The greatest number that a client may begin with, so that none of its events has one that is not safe. */
const MAX_COUNT = 2 ** 52;

/** Returns whether a value can be the ID of a producer: a text that takes 1 to 64 bytes as JSON. */
export function isProducerId(value: unknown): value is string {
  return typeof value === "string" && value !== "" &&
    byteLength(JSON.stringify(value)) - 2 <= MAX_ID_BYTES;
}

/** What a client says of itself as a producer in its `hello`. */
export interface ProducerClaim {
  /** The ID of the producer, which no other client has. */
  readonly id: string;
  /** The number of events that it has sent over earlier connections. */
  readonly sent: number;
  /** The number of those whose fate it knows: the first so many. The others are in doubt. */
  readonly settled: number;
  /** The number of its attempt to connect, from 1. Each has a greater one than those before. */
  readonly attempt: number;
  /** The number of the attempt with which it was connected last, or 0. */
  readonly last: number;
  /** The epoch of the history of the relay with which it was connected last, if that had one. */
  readonly epoch?: string | undefined;
}

/** What a relay says of a producer in its `welcome`. */
export interface ProducerAnswer {
  /**
   * The number of events of the producer that the relay has taken: the first so many. `null` if it
   * cannot say what has become of those in doubt.
   */
  readonly taken: number | null;
  /**
   * Whether it has taken none of the others. If not, it may have taken some that are not kept in the
   * history, before it failed.
   */
  readonly exact: boolean;
}

/** Returns the claim in a `hello`, or `null`. */
export function decodeProducerClaim(value: unknown): ProducerClaim | null {
  const { id, sent, settled, attempt, last, epoch } = Object(value) as Record<string, unknown>;
  const isNumber = (value: unknown) => isCount(value) && value <= MAX_COUNT;
  if (!isProducerId(id) || ![sent, settled, attempt, last].every(isNumber)) return null;
  const claim = { id, sent, settled, attempt, last } as ProducerClaim;
  if (claim.settled > claim.sent || claim.last >= claim.attempt) return null;
  return { ...claim, ...(typeof epoch === "string" && { epoch }) };
}

/** Returns the answer in a `welcome`, or `null`. */
export function decodeProducerAnswer(value: unknown): ProducerAnswer | null {
  const { taken, exact } = Object(value) as Record<string, unknown>;
  if (taken !== null && !isCount(taken)) return null;
  return { taken, exact: exact === true };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}
