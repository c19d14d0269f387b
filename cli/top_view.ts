/**
 * The layout of the state of a relay on a screen.
 *
 * @module
 */

import { bold, dim } from "@std/fmt/colors";
import { printable } from "../protocol/printable.ts";
import { type Column, cut, formatTable, wrap } from "./layout.ts";
import type { Size } from "./terminal.ts";
import {
  countRefusals,
  describeCluster,
  describeFaults,
  describeHistory,
  describeSubscriptions,
  type Snapshot,
} from "../protocol/snapshot.ts";
import {
  formatByteRate,
  formatBytes,
  formatDuration,
  formatExact,
  formatRate,
  formatTime,
} from "../protocol/units.ts";

/** The share of the screen for names while there are clients to show. */
const SHARE_OF_NAMES = 1 / 3;

/** The share of the screen for the head if it needs more than one line per group. */
const SHARE_OF_HEAD = 1 / 2;

/** The text between two figures of the head. */
const GAP = "   ";

const CLIENT_COLUMNS: readonly Column[] = [
  { title: "CLIENT" },
  { title: "ADDRESS", shrinks: true, dropOrder: 2 },
  { title: "IN", kind: "number" },
  { title: "OUT", kind: "number" },
  { title: "BYTES IN", kind: "number", dropOrder: 1 },
  { title: "BYTES OUT", kind: "number", dropOrder: 1 },
  { title: "WAITING", kind: "number" },
  { title: "PATTERNS", shrinks: true },
];

const NAME_COLUMNS: readonly Column[] = [
  { title: "NAME", shrinks: true },
  { title: "EVENTS", kind: "number" },
  { title: "HEARS", kind: "number" },
];

/**
 * Returns the lines of a screen of that size.
 *
 * @param title The name of the relay.
 */
export function formatTop(
  snapshot: Snapshot,
  title: string,
  { columns, rows }: Size,
): string[] {
  const head = [
    bold(cut(printable(title), columns)),
    ...formatHead(formatRelay(snapshot), { columns, rows }),
  ];
  const clients = formatTable(CLIENT_COLUMNS, clientRows(snapshot), columns);
  const names = formatTable(NAME_COLUMNS, nameRows(snapshot), columns);
  const room = rows - head.length - 2;
  const namesRoom = Math.max(Math.floor(SHARE_OF_NAMES * room), room - clients.length);
  const shownNames = limit(names, namesRoom);
  const shownClients = limit(clients, room - shownNames.length);
  return [...head, "", ...withTitle(shownClients), "", ...withTitle(shownNames)].slice(0, rows);
}

/** Returns the lines of the head. They are wrapped unless that would take most of the screen. */
function formatHead(groups: readonly string[][], { columns, rows }: Size): string[] {
  const lines = groups.flatMap((parts) => wrap(parts, columns, GAP));
  if (lines.length < SHARE_OF_HEAD * rows) return lines;
  return groups.map((parts) => cut(parts.join(GAP), columns));
}

function withTitle([title, ...lines]: readonly string[]): string[] {
  return title === undefined ? [] : [dim(title), ...lines];
}

/** Returns the figures of the relay as a whole, in groups. */
function formatRelay({ relay }: Snapshot): string[][] {
  const faults = describeFaults(relay);
  const refusals = countRefusals(relay);
  return [
    [
      `up ${formatDuration(relay.uptimeMs)}`,
      `${formatExact(relay.clients)} clients of ${formatExact(relay.clientsTotal)}`,
      `memory ${formatBytes(relay.rssBytes)}`,
      `loop late ${formatTime(relay.loopDelayMeanMs)}, ` +
      `at most ${formatTime(relay.loopDelayMaxMs)}`,
    ],
    [
      `in ${formatRate(relay.eventsInPerSecond)}, ${formatByteRate(relay.bytesInPerSecond)}`,
      `out ${formatRate(relay.eventsOutPerSecond)}, ${formatByteRate(relay.bytesOutPerSecond)}`,
      `no recipient ${formatRate(relay.eventsUnheardPerSecond)}`,
    ],
    [
      `waiting ${formatBytes(relay.pendingBytes)}, ` +
      `at most ${formatBytes(relay.largestPendingBytes)} for one`,
      ...(faults !== "" ? [`closed: ${faults}`] : []),
      ...(refusals > 0 ? [`refused: ${formatExact(refusals)}`] : []),
    ],
    ...(relay.cluster ? [describeCluster(relay)] : []),
    ...(relay.history ? [describeHistory(relay)] : []),
  ];
}

function clientRows({ clients }: Snapshot): string[][] {
  return clients.map((client) => [
    client.id,
    printable(client.address),
    formatRate(client.eventsInPerSecond),
    formatRate(client.eventsOutPerSecond),
    formatByteRate(client.bytesInPerSecond),
    formatByteRate(client.bytesOutPerSecond),
    formatBytes(client.pendingBytes),
    describeSubscriptions(client),
  ]);
}

function nameRows({ names }: Snapshot): string[][] {
  return names.map(({ name, eventsPerSecond, hearers }) => [
    printable(name),
    formatRate(eventsPerSecond),
    formatExact(hearers),
  ]);
}

/** Returns at most `max` lines. The last one gives the number of lines that were left out. */
function limit(lines: readonly string[], max: number): readonly string[] {
  if (lines.length <= max) return lines;
  const kept = Math.max(0, max - 1);
  return [...lines.slice(0, kept), `and ${formatExact(lines.length - Math.max(1, kept))} more`]
    .slice(0, Math.max(0, max));
}
