/**
 * What a relay asks of the stream of its cluster, and how a stream that is there differs.
 *
 * @module
 */

import type { HistoryRules } from "./options.ts";
import type { StreamInfo, StreamSettings } from "./stream_port.ts";

/** Number of servers with a copy from which a stream survives the loss of one. */
const SAFE_REPLICAS = 3;

/** Least age that a stream takes, in milliseconds. */
const MIN_AGE_MS = 100;

/** Returns the settings of a stream that keeps what a relay is to keep. */
export function settingsOf({ keepAge, keepBytes, keepCount }: HistoryRules): StreamSettings {
  return {
    maxAge: Math.max(keepAge, MIN_AGE_MS),
    maxBytes: keepBytes,
    maxMessages: keepCount,
  };
}

/** Returns in which ways a stream keeps less than a relay was asked to, in words. */
export function weaknessesOf(info: StreamInfo, rules: HistoryRules): string[] {
  const wanted = settingsOf(rules);
  const weaknesses: string[] = [];
  const compare = (there: number, here: number, what: (value: number) => string) => {
    if (there < here) {
      weaknesses.push(`it keeps ${what(there)}, this relay was asked for ${orAll(here, what)}`);
    }
  };
  compare(info.maxAge, wanted.maxAge, (value) => `events for ${value} ms`);
  compare(info.maxBytes, wanted.maxBytes, (value) => `${value} bytes`);
  compare(info.maxMessages, wanted.maxMessages, (value) => `${value} messages`);
  if (info.isInMemory) weaknesses.push("it is in memory, so a restart of its server empties it");
  if (info.isClustered && info.replicas < SAFE_REPLICAS) {
    const copies = `only ${info.replicas} of the NATS servers ${
      info.replicas === 1 ? "has" : "have"
    }`;
    weaknesses.push(`${copies} a copy of it, so it may stop or lose events with one server`);
  }
  return weaknesses;
}

function orAll(value: number, what: (value: number) => string): string {
  return value === Infinity ? "no such limit" : what(value);
}
