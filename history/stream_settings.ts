/**
 * What a relay asks of the stream of its cluster, and how a stream that is there differs.
 *
 * @module
 */

import type { HistoryRules } from "./options.ts";
import type { StreamInfo, StreamSettings } from "./stream_port.ts";

/** Number of servers with a copy from which a stream survives the loss of one. */
const SAFE_REPLICAS = 3;

/**
 * The least limits of a stream: an age in milliseconds, bytes, and a number of messages. Events go
 * through the stream to the clients, and what the relays note there counts as well. So it has to keep
 * everything until the relays have read it, also one that is busy for a moment. JetStream does not
 * keep a message that is longer than all may be, and a block has up to 128 KiB, or a line of about 1 MiB.
 */
const MIN_AGE_MS = 1000;
const MIN_BYTES = 8_388_608;
const MIN_MESSAGES = 256;

/** Returns the settings of a stream that keeps what a relay is to keep, and what all have to read. */
export function settingsOf({ keepAge, keepBytes, keepCount }: HistoryRules): StreamSettings {
  return {
    maxAge: Math.max(keepAge, MIN_AGE_MS),
    maxBytes: Math.max(keepBytes, MIN_BYTES),
    maxMessages: Math.max(keepCount, MIN_MESSAGES),
  };
}

/** Returns in which ways a stream keeps less than a relay asks for, in words. */
export function weaknessesOf(info: StreamInfo, rules: HistoryRules): string[] {
  const wanted = settingsOf(rules);
  const weaknesses: string[] = [];
  const compare = (there: number, here: number, what: (value: number) => string) => {
    if (there < here) {
      weaknesses.push(`it keeps ${what(there)}, this relay asks for ${orAll(here, what)}`);
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
