/**
 * The `sub` command, which prints events.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { EbsocketClient, PastEvents, PastLoss, Since } from "../client.ts";
import { ConnectionClosedError, EbsocketError } from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { formatPosition, parsePosition } from "../protocol/history.ts";
import { matches } from "../protocol/pattern.ts";
import { type RawEvent, withoutPast } from "../protocol/raw_event.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  connect,
  CONNECTION_GROUP,
  CONNECTION_NOTES,
  describeLoss,
  explainConnectError,
  hearNothing,
  idOf,
  PATIENT_MS,
  readTarget,
  reportNews,
  subscribeIfPossible,
  type Target,
  whereIs,
} from "./connect.ts";
import { StartError, UsageError } from "./errors.ts";
import { type EventView, eventView, RAW_FLAG } from "./event_view.ts";
import { type Arguments, flag, type FlagOf, oneOf } from "./flags.ts";
import { timeOf } from "./numbers.ts";
import { patternNote } from "./pattern.ts";
import { stopSignal } from "./signals.ts";
import { Output, printErr } from "./stdio.ts";
import { formatAddress } from "../protocol/address.ts";
import { printable, quote } from "../protocol/printable.ts";
import { addressOf } from "../net/transport.ts";

/** Number of events of the past that may wait to be written, together. */
const MAX_UNWRITTEN = 1000;

/** The options about events of the past. */
const HISTORY_GROUP = {
  title: "Events that the relay has kept, before those that arrive",
  flags: [
    flag.text(
      "since",
      "TIME|EPOCH:OFFSET",
      "Those of the last 10m (ms, s, m, h, d), or after the place where another sub has stopped",
    ),
    flag.integer("last", "The last N that match"),
    flag.switch("all", "All of them"),
    flag.switch("last-values", "The last one of each name that the relay's --keep-last includes"),
    flag.switch("follow", "End after them", { negated: true }),
  ],
} as const;

type HistoryValues =
  & Arguments<FlagOf<[typeof HISTORY_GROUP]>>["values"]
  & { readonly queue: string | undefined; readonly from: string | undefined };

/** The `sub` command. */
export const sub: Command = defineCommand({
  name: "sub",
  summary: "Print events, all or those that match a pattern",
  about: "Print events as they arrive: all of them, or those whose names match a pattern.",
  usage: "[options] [HOST:PORT] [PATTERN...]",
  examples: [
    "ebsockets sub                      # all events",
    "ebsockets sub 'chat.*' 'game.>'    # quoted, or the shell may expand them",
    "ebsockets sub --count 1 relay.example:7982 done",
    "ebsockets sub --since 10m 'chat.>' # first those of the last 10 minutes",
    "ebsockets sub | jq .event          # in a pipe: lines of JSON, unchanged",
  ],
  groups: [
    {
      title: "Options",
      flags: [
        flag.integer("count", "End after this many events (default: end on Ctrl+C)"),
        flag.text(
          "from",
          "ID",
          "Only events from this client (requests and direct events; other events carry no sender)",
        ),
        flag.text(
          "queue",
          "NAME",
          "Share the events with all members of this queue; each goes to one member",
        ),
        RAW_FLAG,
      ],
      instead: {
        "patterns need no option, such as 'chat.*'": "topic t subject name event pattern",
      },
    },
    HISTORY_GROUP,
    CONNECTION_GROUP,
  ],
  exits: {
    0: "All requested events were printed, or Ctrl+C was pressed without --count",
    1: "The relay is unreachable, or keeps no events; with --no-follow, some are missing",
    130: "Interrupted by Ctrl+C before --count was reached (143: SIGTERM)",
  },
  notes:
    `In a pattern, * between dots matches any one token, and > at the end matches the rest. After --, an
argument is a pattern even if it looks like HOST:PORT.

Reconnects automatically and reports it on standard error. With one of the options about kept
events, it then receives those that it has missed, and reports at its end where to go on with
--since EPOCH:OFFSET. The line of a kept event has its offset. If some are no longer there, it says
so and prints the others.

${CONNECTION_NOTES}`,
  async run(args) {
    const [target, patterns] = readTarget(args);
    for (const note of patterns.map(patternNote)) if (note) printErr(note);
    const { raw, count, from, queue } = args.values;
    const options: PrintOptions = {
      view: eventView(raw),
      count: count ?? Infinity,
      from,
      queue,
      since: readSince(args.values),
      follows: args.values.follow,
    };
    const stop = stopSignal();
    try {
      return await print(target, patterns, options, stop);
    } catch (error) {
      if (error === stop.reason && count === undefined) return 0;
      throw error;
    }
  },
});

interface PrintOptions {
  readonly view: EventView;
  readonly count: number;
  readonly from: string | undefined;
  readonly queue: string | undefined;
  /** From where on kept events are printed. `null` without them. */
  readonly since: Since | null;
  readonly follows: boolean;
}

/** Returns from where on kept events are wanted, or `null`. */
function readSince(
  { since, last, all, "last-values": lastValues, follow, queue, from }: HistoryValues,
): Since | null {
  const given = Object.entries({ since, last, all, "last-values": lastValues })
    .filter(([, value]) => value !== undefined && value !== false).map(([name]) => `--${name}`);
  const names = ["--since", "--last", "--all", "--last-values"];
  if (given.length > 1) throw new UsageError(`${given[0]} and ${given[1]} exclude each other`);
  if (given.length === 0) {
    if (follow) return null;
    throw new UsageError(`--no-follow needs ${oneOf(names)}`);
  }
  if (queue !== undefined) throw new UsageError(`${given[0]} and --queue exclude each other`);
  if (from !== undefined) {
    throw new UsageError(`${given[0]} and --from exclude each other: kept events carry no sender`);
  }
  if (last !== undefined) return { count: last };
  if (since === undefined) return all ? "first" : "last";
  const position = parsePosition(since);
  if (position) return position;
  const age = timeOf(since);
  if (age <= Number.MAX_SAFE_INTEGER) return { age };
  throw new UsageError(`--since must be a time such as 10m, or EPOCH:OFFSET, not ${quote(since)}`);
}

/**
 * Prints the events that match the patterns. Resolves once `count` events have been printed, to the
 * exit code.
 */
async function print(
  target: Target,
  patterns: readonly string[],
  { view, count, from, queue, since, follows }: PrintOptions,
  signal: AbortSignal,
): Promise<number> {
  const wanted = patterns.length > 0 ? patterns : [">"];
  await using client = await connect(target, {
    raw: true,
    reconnect: true,
    history: since !== null && follows,
    welcomeTimeout: PATIENT_MS,
    signal,
    prepare: (client) => {
      // From the start, because the other members of the queue receive the rest.
      if (queue !== undefined) return client.subscribe(wanted, { queue });
      if (since !== null) return hearNothing(client);
    },
    lack: since === null
      ? (place) => `Cannot use --queue: ${place} does not support queues`
      : lackHistory,
  });
  const news = reportNews(client, target, printErr);
  // Before the subscription is in force, and without one, other events arrive as well.
  const isWanted = (event: EbsocketEvent) =>
    (patterns.length === 0 || event.to !== null ||
      patterns.some((pattern) => matches(pattern, event.event))) &&
    (from === undefined || event.from === from);
  const output = new Output();
  const printAll = async () => {
    if (since !== null) {
      const answer = await client.subscribe(wanted, { since, partial: true, signal });
      if (answer?.reason) printErr(describeLoss(answer.reason));
    } else if (queue === undefined && (patterns.length > 0 || client.hearsNothing)) {
      await subscribeIfPossible(client, wanted, signal);
    }
    printErr(`Listening to ${whereIs(client)}${idOf(client)}`);
    for (let missing = count; missing > 0;) {
      const events = await receive(client, missing, signal);
      if (events.length === 0) return await news; // The client has stopped for good.
      const lines = events.filter(isWanted).slice(0, missing)
        .map((event) => view((event as RawEvent).line));
      missing -= lines.length;
      await output.write(concat(lines));
    }
  };
  let past: PastEvents | null = null;
  let code = 0;
  const printPast = async (since: Since) => {
    const onLoss = (loss: PastLoss) => {
      code = 1;
      printErr(describePastLoss(loss));
    };
    let printed = 0;
    let writing = Promise.resolve();
    past = client.history(wanted, { since, partial: true, onLoss, signal });
    for await (const event of past) {
      writing = output.write(view(withoutPast(event as RawEvent)));
      writing.catch(() => {}); // Awaited below.
      if (++printed % MAX_UNWRITTEN === 0) await writing;
      if (printed === count) break;
    }
    await writing;
  };
  try {
    await Promise.race([since !== null && !follows ? printPast(since) : printAll(), news]);
  } catch (error) {
    if (!(error instanceof EbsocketError)) throw error;
    if (error instanceof ConnectionClosedError) await news;
    else if (error.code === "not-supported" && since !== null) {
      throw new StartError(lackHistory(printable(formatAddress(addressOf(target.where)))));
    } else throw new StartError(explainConnectError(error, target));
  } finally {
    reportPosition(past ?? client);
  }
  return code;
}

/** Waits for events, and returns as many as have arrived, but none that may not be printed. */
async function receive(
  client: EbsocketClient,
  max: number,
  signal: AbortSignal,
): Promise<EbsocketEvent[]> {
  if (max === Infinity) return await client.recvEvents({ signal });
  const event = await client.recvEvent({ signal });
  return event ? [event] : [];
}

function lackHistory(place: string): string {
  return `Cannot print kept events: the relay at ${place} keeps none`;
}

function describePastLoss({ reason, from, to }: PastLoss): string {
  if (from === null) return describeLoss(reason);
  return describeLoss(reason, from === to ? `Event ${from} is` : `Events ${from} to ${to} are`);
}

/** Reports where another run can go on. */
function reportPosition({ position }: Pick<EbsocketClient, "position">): void {
  if (!position) return;
  const offsets = [position.offset, ...Object.values(position.behind ?? {})];
  const { epoch } = position;
  const text = formatPosition({ epoch, offset: Math.min(...offsets) });
  printErr(`Go on with --since ${printable(text)}`);
}
