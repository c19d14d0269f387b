/**
 * The layout of the state of a relay on a screen.
 *
 * @module
 */

import type { CloseReason } from "../errors.ts";
import { printable } from "../protocol/printable.ts";
import { isFault } from "./errors.ts";
import { type Column, formatTable } from "./table.ts";
import type { Paint } from "./terminal.ts";
import type { Snapshot } from "./top_snapshot.ts";
import {
  formatByteRate,
  formatBytes,
  formatDuration,
  formatExact,
  formatLatency,
  formatRate,
} from "./units.ts";
import { cut, wrap } from "./width.ts";

/** The size of a screen. */
export interface Size {
  /** In characters; `Infinity` if lines may have any length. */
  readonly columns: number;
  /** In lines; `Infinity` if there may be any number. */
  readonly rows: number;
}

/** The share of the screen for names while there are clients to show. */
const SHARE_OF_NAMES = 1 / 3;

/** The share of the screen for the head if it needs more than one line per group. */
const SHARE_OF_HEAD = 1 / 2;

/** The text between two figures of the head. */
const GAP = "   ";

const CLIENT_COLUMNS: readonly Column[] = [
  { title: "CLIENT" },
  { title: "ADDRESS", shrinks: true, leaves: 2 },
  { title: "IN", kind: "number" },
  { title: "OUT", kind: "number" },
  { title: "BYTES IN", kind: "number", leaves: 1 },
  { title: "BYTES OUT", kind: "number", leaves: 1 },
  { title: "WAITING", kind: "number" },
  { title: "HEARS", shrinks: true },
];

const NAME_COLUMNS: readonly Column[] = [
  { title: "NAME", shrinks: true },
  { title: "EVENTS", kind: "number" },
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
  paint: Paint,
): string[] {
  const head = [
    paint.bold(cut(printable(title), columns)),
    ...formatHead(formatRelay(snapshot), { columns, rows }),
  ];
  const clients = formatTable(CLIENT_COLUMNS, clientRows(snapshot), columns);
  const names = formatTable(NAME_COLUMNS, nameRows(snapshot), columns);
  const room = rows - head.length - 2;
  const namesRoom = Math.max(Math.floor(SHARE_OF_NAMES * room), room - clients.length);
  const shownNames = limit(names, namesRoom);
  const shownClients = limit(clients, room - shownNames.length);
  const lines = [
    ...head,
    "",
    ...withTitle(shownClients, paint),
    "",
    ...withTitle(shownNames, paint),
  ];
  return lines.slice(0, rows);
}

/** Returns the lines of the head. They are wrapped unless that would take most of the screen. */
function formatHead(groups: readonly string[][], { columns, rows }: Size): string[] {
  const lines = groups.flatMap((parts) => wrap(parts, columns, GAP));
  if (lines.length < SHARE_OF_HEAD * rows) return lines;
  return groups.map((parts) => cut(parts.join(GAP), columns));
}

function withTitle([title, ...lines]: readonly string[], paint: Paint): string[] {
  return title === undefined ? [] : [paint.dim(title), ...lines];
}

/** Returns the figures of the relay as a whole, in groups. */
function formatRelay({ relay }: Snapshot): string[][] {
  const faults = Object.entries({ ...relay.closes })
    .filter(([reason, count]) => count > 0 && isFault(reason as CloseReason))
    .map(([reason, count]) => `${formatExact(count)} ${printable(reason)}`);
  const refused = Object.values(relay.refusals).reduce((sum, count) => sum + count, 0);
  return [
    [
      `up ${formatDuration(relay.uptimeMs)}`,
      `${formatExact(relay.clients)} clients of ${formatExact(relay.clientsTotal)}`,
      `memory ${formatBytes(relay.rssBytes)}`,
      `loop late ${formatLatency(relay.loopDelayMeanMs)}, ` +
      `at most ${formatLatency(relay.loopDelayMaxMs)}`,
    ],
    [
      `in ${rate(relay.eventsInPerSecond)}, ${byteRate(relay.bytesInPerSecond)}`,
      `out ${rate(relay.eventsOutPerSecond)}, ${byteRate(relay.bytesOutPerSecond)}`,
      `unheard ${rate(relay.eventsUnheardPerSecond)}`,
    ],
    [
      `waiting ${formatBytes(relay.pendingBytes)}, ` +
      `at most ${formatBytes(relay.largestPendingBytes)} for one`,
      ...(faults.length > 0 ? [`closed: ${faults.join(", ")}`] : []),
      ...(refused > 0 ? [`refused: ${formatExact(refused)}`] : []),
    ],
  ];
}

function clientRows({ clients }: Snapshot): string[][] {
  return clients.map((client) => [
    client.id,
    printable(client.address),
    rate(client.eventsInPerSecond),
    rate(client.eventsOutPerSecond),
    byteRate(client.bytesInPerSecond),
    byteRate(client.bytesOutPerSecond),
    formatBytes(client.pendingBytes),
    hears(client),
  ]);
}

/** Returns the subscriptions of a client as text. */
function hears(
  { subscriptionCount, subscriptions }: Snapshot["clients"][number],
): string {
  if (subscriptionCount === null) return "everything";
  if (subscriptionCount === 0) return "nothing";
  const more = subscriptionCount - subscriptions.length;
  const shown = subscriptions.map(printable).join(", ");
  return more > 0 ? `${shown}, and ${formatExact(more)} more` : shown;
}

function nameRows({ names }: Snapshot): string[][] {
  return names.map(({ name, eventsPerSecond }) => [printable(name), rate(eventsPerSecond)]);
}

/** Returns at most `most` lines. The last one gives the number of lines that were left out. */
function limit(lines: readonly string[], most: number): readonly string[] {
  if (lines.length <= most) return lines;
  const kept = Math.max(0, most - 1);
  return [...lines.slice(0, kept), `and ${formatExact(lines.length - Math.max(1, kept))} more`]
    .slice(0, Math.max(0, most));
}

function rate(perSecond: number | null): string {
  return perSecond === null ? "-" : formatRate(perSecond);
}

function byteRate(perSecond: number | null): string {
  return perSecond === null ? "-" : formatByteRate(perSecond);
}
