/**
 * The option `history` of a relay, and its check. The rest of this room is loaded only for a relay
 * that has the option.
 *
 * @module
 */

import { checkDuration, checkLimit } from "../protocol/option_checks.ts";
import { faultOfPattern, REST } from "../protocol/pattern.ts";
import { inspect } from "../protocol/printable.ts";

/** Default of the kept bytes: 64 MiB, an eighth of the default for all send queues. */
const DEFAULT_KEEP_BYTES = 67_108_864;

/** The same on disk: 1 GiB. */
const DEFAULT_KEEP_DISK_BYTES = 1_073_741_824;

/** Least value of the kept bytes in memory: 64 KiB. */
const MIN_KEEP_BYTES = 65_536;

/** Least value of the kept bytes on disk: 1 MiB, which is 16 files. */
const MIN_KEEP_DISK_BYTES = 1_048_576;

/** Greatest value of the kept bytes: 1 TiB. */
const MAX_KEEP_BYTES = 2 ** 40;

/** Why a relay of a cluster has no folder. */
const SHARED = "the relays of a cluster keep their events in JetStream";

/** The values of {@link HistoryOptions.sync}. */
export const HISTORY_SYNCS = ["ack", "always", "never"] as const;

/** What waits until the disk has an event. */
export type HistorySync = (typeof HISTORY_SYNCS)[number];

/**
 * Which events a relay keeps, and for how long. `{}` keeps all events, up to 64 MiB of them. With
 * `cluster`, the events of all relays are in a JetStream stream, by default up to 1 GiB.
 */
export interface HistoryOptions {
  /**
   * The folder in which events are kept, so that they survive the relay. It is created if it is not
   * there. Without it, events are kept in memory, or with `cluster` in JetStream. A relay of a cluster
   * cannot have a folder.
   */
  readonly folder?: string;
  /**
   * What waits until the disk has an event that the relay keeps there.
   *
   * - `"ack"`: its acknowledgement. Clients may receive an event that a crash of the machine takes away
   *   from the log.
   * - `"always"`: its acknowledgement and its delivery, which takes longer by one write to the disk.
   *   Then no client has ever seen more than the log has.
   * - `"never"`: nothing. An event is acknowledged once the operating system has it, so those of the last
   *   moments may be lost if the machine fails.
   *
   * A relay of a cluster cannot have this option. There, an event is acknowledged and delivered once
   * JetStream has it.
   *
   * @default {"ack"}
   */
  readonly sync?: "ack" | "always" | "never";
  /**
   * The patterns of the names of events to keep, such as `"chat.>"`. Events for one client, requests
   * and replies are never kept. `[]` keeps only those that match `keepLast`.
   *
   * @default [">"]
   */
  readonly keep?: readonly string[];
  /**
   * Maximum age of a kept event, in milliseconds, from 1. An event may stay for a second longer.
   * In a folder, clients no longer receive it then, and its file is removed after further files have
   * begun. In a cluster, the stream keeps events for a second at least.
   *
   * @default {Infinity}
   */
  readonly keepAge?: number;
  /**
   * Maximum size of all kept events together, in bytes, from 65,536 to 1 TiB, in a folder from
   * 1 MiB. The lines count as their senders wrote them. The last event is kept in any case. The
   * memory in use is about a sixth more, or up to two thirds for events of 20 bytes. The last events
   * of names come on top. In a folder or with `cluster`, the default is 1 GiB. In a cluster, the
   * memory in use is 32 MiB, what JetStream adds to each message counts, and the stream has 8 MiB at
   * least.
   *
   * @default {67_108_864}
   */
  readonly keepBytes?: number;
  /**
   * Maximum number of kept events, from 1. In a cluster, that of messages in the stream, and the
   * stream keeps 256 at least. Each has one event, or several that were sent at about the same time.
   * What the relays note there counts as well.
   *
   * @default {Infinity}
   */
  readonly keepCount?: number;
  /**
   * The patterns of the names whose last event is kept whatever its age, for clients that ask for
   * `last`. Up to 100,000 names and 64 MiB have room. Events with these names are also kept as if
   * their patterns were in `keep`. In a cluster, they may take a quarter of the stream.
   *
   * @default []
   */
  readonly keepLast?: readonly string[];
}

/** The checked options of a history. */
export interface HistoryRules {
  /** The folder of the log, or `null` for a log in memory. */
  readonly folder: string | null;
  readonly sync: HistorySync;
  /** The patterns of the events that are kept, each once. */
  readonly keep: readonly string[];
  readonly keepAge: number;
  readonly keepBytes: number;
  readonly keepCount: number;
  /** The patterns of the events of which the last one is kept for each name, each once. */
  readonly keepLast: readonly string[];
}

/**
 * Checks the options of a history, and fills in the defaults.
 *
 * @param isShared Whether the relay is one of a cluster, so that its events are kept in JetStream.
 * @throws {RangeError} If a number is out of range.
 * @throws {TypeError} If a value has the wrong type, a pattern is invalid, or no event would be
 * kept.
 */
export function checkHistoryOptions(options: HistoryOptions, isShared = false): HistoryRules {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Invalid history: expected an object, got ${inspect(options)}`);
  }
  const {
    keep = [REST],
    folder = null,
    sync = "ack",
    keepAge = Infinity,
    keepBytes = folder === null && !isShared ? DEFAULT_KEEP_BYTES : DEFAULT_KEEP_DISK_BYTES,
    keepCount = Infinity,
    keepLast = [],
  } = options;
  if (folder !== null && (typeof folder !== "string" || folder === "")) {
    throw new TypeError(`Invalid history.folder: expected a path, got ${inspect(folder)}`);
  }
  if (isShared && folder !== null) {
    throw new TypeError(`Invalid history.folder: ${SHARED}, so leave it out`);
  }
  if (isShared && options.sync !== undefined) {
    throw new TypeError(`Invalid history.sync: ${SHARED}, whose servers decide; leave it out`);
  }
  if (!HISTORY_SYNCS.includes(sync)) {
    const expected = HISTORY_SYNCS.map((each) => `"${each}"`).join(", ");
    throw new TypeError(`Invalid history.sync: expected one of ${expected}, got ${inspect(sync)}`);
  }
  const last = [...new Set(checkPatterns("history.keepLast", keepLast))];
  const kept = [...new Set([...checkPatterns("history.keep", keep), ...last])];
  if (kept.length === 0) {
    throw new TypeError("Invalid history.keep: expected a pattern here or in history.keepLast");
  }
  const minBytes = folder === null ? MIN_KEEP_BYTES : MIN_KEEP_DISK_BYTES;
  return {
    folder,
    sync,
    keep: kept,
    keepAge: checkDuration("history.keepAge", keepAge, 1),
    keepBytes: checkLimit("history.keepBytes", keepBytes, minBytes, MAX_KEEP_BYTES),
    keepCount: checkLimit("history.keepCount", keepCount, 1),
    keepLast: last,
  };
}

function checkPatterns(name: string, patterns: readonly string[]): readonly string[] {
  if (!Array.isArray(patterns)) {
    throw new TypeError(`Invalid ${name}: expected a list of patterns, got ${inspect(patterns)}`);
  }
  for (const pattern of patterns) {
    const fault = faultOfPattern(pattern);
    if (fault) throw new TypeError(`Invalid ${name}: ${inspect(pattern)} is no pattern: ${fault}`);
  }
  return patterns;
}
