/**
 * The log of a relay: one line for each event in its life, except for health checks and for
 * refusals beyond the first ones of a second. Peer-supplied text is always escaped.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import { isLocalhost } from "../net/localhost_listener.ts";
import { countOf, formatExact } from "../protocol/units.ts";
import { printable } from "../protocol/printable.ts";
import type {
  HistoryStats,
  RelayChange,
  RelayClient,
  RelayObserver,
  RelayStats,
} from "../relay.ts";
import { isSilent } from "../relay/stats.ts";
import { type Endpoint, formatWhere, howToTry } from "./hints.ts";
import { messageOf } from "./errors.ts";
import { Log } from "./log.ts";
import type { LogFormat } from "./relay_flags.ts";

/** How often silent clients are checked, in milliseconds. */
const LOOK_MS = 50;

/**
 * The number of checks after which even a silent client is reported: about a second. Checks are
 * counted instead of time, since a busy event loop learns late that a client has left.
 */
const MAX_LOOKS = 20;

/** The number of refusals reported one by one within {@link WINDOW_MS}. */
const MAX_REPORTED = 10;

/** The period for which refusals are counted together, in milliseconds. */
const WINDOW_MS = 1000;

/** Logs the life of a relay in the requested format. */
export class Reporter implements RelayObserver {
  readonly #format: LogFormat;
  readonly #log: Log;
  readonly #newcomers = new Newcomers((client) => this.#joined(client));
  #clients = 0;
  readonly #refusals = new Refusals({
    one: (address, reason, detail) => this.#refusedOne(address, reason, detail),
    more: (counts) => this.#refusedMore(counts),
  });

  /** Creates a reporter whose lines go to `write`, which may take only some of the bytes. */
  constructor(format: LogFormat, write: (bytes: Uint8Array) => Promise<number>) {
    this.#format = format;
    this.#log = new Log(write, {
      describeLoss: (lines) =>
        this.#line("lost", `${lines} log lines were lost: they could not be written`, { lines }),
    });
  }

  /** The relay has started to listen. */
  listening(endpoint: Endpoint): void {
    const { where, hasToken, hasPage, tls } = endpoint;
    if (this.#format === "json") {
      const place = "path" in where ? where : { hostname: where[0], port: where[1] };
      return this.#add("listening", "", { ...place, token: hasToken, tls, web: hasPage });
    }
    const both = !("path" in where) && isLocalhost(where[0]) ? " (127.0.0.1 and ::1)" : "";
    this.#log.add(`Relay listening on ${formatWhere(where)}${both}`);
    for (const line of howToTry(endpoint)) this.#log.add(line);
  }

  /** A client has joined. One that leaves at once without a byte is not logged. */
  onJoin(client: RelayClient): void {
    this.#clients++;
    this.#newcomers.add(client);
  }

  /** The first line of a client has arrived. */
  onFirstLine(client: RelayClient): void {
    this.#newcomers.onFirstLine(client);
  }

  #joined({ id, address }: RelayClient): void {
    const clients = this.#clients;
    const from = formatPeer(address);
    const text = `client c${id} joined from ${from} (${clients} connected)`;
    this.#add("join", text, { client: id, address: from, clients });
  }

  /** A client has left. */
  onLeave(client: RelayClient, info: CloseInfo): void {
    const isReported = this.#newcomers.remove(client);
    const clients = --this.#clients;
    if (!isReported) return;
    const { id, address, eventsIn, eventsOut, bytesIn, bytesOut } = client;
    const { reason, unsentLines, unsentBytes } = info;
    const detail = printable(info.detail);
    const text = `client c${id} left: ${reason}${inBrackets(detail)}; ` +
      `events ${eventsIn} in, ${eventsOut} out, ${unsentLines} unsent; ` +
      `bytes ${bytesIn} in, ${bytesOut} out (${clients} connected)`;
    this.#add("leave", text, {
      client: id,
      address: formatPeer(address),
      reason,
      detail,
      eventsIn,
      eventsOut,
      bytesIn,
      bytesOut,
      unsentLines,
      unsentBytes,
      clients,
    });
  }

  /** The relay has joined its cluster as `id`. */
  joined(id: string, others: number): void {
    const text = `joined the cluster as relay ${id}, with ${countOf(others, "other relay")}`;
    this.#add("cluster-join", text, { relay: id, others });
  }

  /** Another relay has joined the cluster, or has gone. */
  onRelay(relay: string, change: RelayChange): void {
    const what = change === "vanished"
      ? "has vanished without a word"
      : `has ${change} the cluster`;
    this.#add("relay", `relay ${relay} ${what}`, { relay, change });
  }

  /** The other relays can be reached again, or no longer. */
  onCluster(state: "together" | "alone"): void {
    const text = state === "alone"
      ? "lost the way to the other relays; events go on among the clients of this one"
      : "reached NATS, the way to the other relays, again";
    this.#add("cluster", text, { state });
  }

  /** Events of another relay are missing. */
  onGap(relay: string, events: number | undefined): void {
    const count = events === undefined ? "some events" : countOf(events, "event");
    this.#add("gap", `${count} of relay ${relay} are missing`, { relay, events: events ?? null });
  }

  /** Another relay, or a stranger on the backplane, has sent what it should not. */
  onClusterFault(fault: string): void {
    const detail = printable(fault);
    this.#add("cluster-fault", detail, { detail });
  }

  /**
   * The history has been opened. `place` is the value of `--history`. What the stream of a cluster
   * has is not counted before it is read.
   */
  historyOpened(place: string, { first, offset, events, ...stats }: HistoryStats): void {
    const [where, epoch] = [place, stats.epoch].map(printable);
    const isShared = place === "cluster";
    const found = isShared ? "JetStream," : `${where}, ${countOf(events, "event")}`;
    const text = `history in ${found} up to offset ${formatExact(offset)}, epoch ${epoch}`;
    const counted = isShared ? {} : { events };
    this.#add("history", text, { state: "open", where, ...counted, first, offset, epoch });
  }

  /** The history was incomplete, or events cannot be kept. */
  onHistoryFault(fault: string): void {
    const detail = printable(fault);
    this.#add("history-fault", `history: ${detail}`, { detail });
  }

  /** Events are kept again. */
  onHistoryMended(): void {
    this.#add("history", "history: events are kept again", { state: "kept" });
  }

  /** A peer was refused. It is not logged if `isSilent`. */
  onRefuse(address: Address, reason: CloseReason, detail: string, isSilent = false): void {
    if (!isSilent) this.#refusals.add(address, reason, detail);
  }

  #refusedOne(address: Address, reason: CloseReason, rawDetail: string): void {
    const from = formatPeer(address);
    const detail = printable(rawDetail);
    const text = `refused a client from ${from}: ${reason}${inBrackets(detail)}`;
    this.#add("refuse", text, { address: from, reason, detail });
  }

  #refusedMore(counts: ReadonlyMap<CloseReason, number>): void {
    const each = [...counts].map(([reason, count]) => `${count} ${reason}`).join(", ");
    const sum = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const text = `and ${sum} more refused: ${each}`;
    this.#add("refuse-more", text, { refused: sum, reasons: Object.fromEntries(counts) });
  }

  /** A connection could not be accepted. */
  acceptFailed(error: unknown): void {
    const detail = messageOf(error);
    this.#add("accept-error", `cannot accept a connection: ${detail}`, { detail });
  }

  /** Logs statistics as a line of JSON in every format, since they were explicitly requested. */
  stats(stats: RelayStats): void {
    this.#log.add(JSON.stringify({ time: new Date().toISOString(), type: "stats", ...stats }));
  }

  /** The relay is about to stop. */
  stopping(signal: string): void {
    const clients = this.#clients;
    const text = `stopping on ${signal} (${clients} connected); a second signal ends at once`;
    this.#add("stop", text, { signal, clients });
  }

  /** A signal without a meaning for the relay has arrived. */
  ignored(signal: string): void {
    const text = `ignored ${signal}: not started in a terminal; SIGTERM stops the relay`;
    this.#add("ignore", text, { signal });
  }

  /** Waits until all lines have been written, but at most `timeout` milliseconds. */
  async flush(timeout?: number): Promise<void> {
    this.#refusals.reportAll();
    await this.#log.flush(timeout);
  }

  #add(type: string, text: string, fields: Record<string, unknown>): void {
    if (this.#format !== "quiet") this.#log.add(this.#line(type, text, fields));
  }

  #line(type: string, text: string, fields: Record<string, unknown>): string {
    const time = new Date().toISOString();
    return this.#format === "json" ? JSON.stringify({ time, type, ...fields }) : `${time} ${text}`;
  }
}

/** Returns the address of a peer. At a Unix socket, that is the socket's path, with port 0. */
function formatPeer(address: Address): string {
  return address[1] === 0 ? printable(address[0]) : formatAddress(address);
}

function inBrackets(text: string): string {
  return text && ` (${text})`;
}

/**
 * Reports each client once it has sent a byte or has stayed. A health check connects and leaves at
 * once, and is not worth a log line. The timer runs only while a client is
 * unreported.
 */
class Newcomers {
  readonly #onJoin: (client: RelayClient) => void;
  /** The unreported clients, and how often each has been checked. */
  readonly #unreported = new Map<RelayClient, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Creates a list that calls `onJoin` for each client that sends a byte or stays. */
  constructor(onJoin: (client: RelayClient) => void) {
    this.#onJoin = onJoin;
  }

  /** Adds a client that has joined. */
  add(client: RelayClient): void {
    if (!isSilent(client)) return this.#onJoin(client);
    this.#unreported.set(client, 0);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** Notes that a client has sent a line. */
  onFirstLine(client: RelayClient): void {
    if (this.#unreported.has(client)) this.#report(client);
  }

  /**
   * Removes a client that has left. Returns whether it has been reported; one that sent a byte is
   * reported now.
   */
  remove(client: RelayClient): boolean {
    const isUnreported = this.#unreported.has(client);
    if (isUnreported && isSilent(client)) {
      this.#forget(client);
      return false;
    }
    if (isUnreported) this.#report(client);
    return true;
  }

  #look(): void {
    for (const [client, looks] of this.#unreported) {
      if (!isSilent(client) || looks + 1 >= MAX_LOOKS) this.#report(client);
      else this.#unreported.set(client, looks + 1);
    }
  }

  #report(client: RelayClient): void {
    this.#forget(client);
    this.#onJoin(client);
  }

  #forget(client: RelayClient): void {
    this.#unreported.delete(client);
    if (this.#unreported.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Receives the reports. */
interface RefusalListener {
  /** One peer was refused. */
  one(address: Address, reason: CloseReason, detail: string): void;
  /** More peers were refused: how many, by reason. */
  more(counts: ReadonlyMap<CloseReason, number>): void;
}

/**
 * Reports refusals, at most {@link MAX_REPORTED} and one summary a second, so that a peer that
 * connects a hundred thousand times cannot fill the log.
 */
export class Refusals {
  readonly #listener: RefusalListener;
  readonly #windowMs: number;
  /** Ends the current window, which its first refusal has begun. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reported = 0;
  /** The unreported refusals. There are at most as many entries as reasons. */
  #unreported = new Map<CloseReason, number>();

  /** Creates a log that reports to `listener`. */
  constructor(listener: RefusalListener, windowMs: number = WINDOW_MS) {
    this.#listener = listener;
    this.#windowMs = windowMs;
  }

  /** Adds a refused peer. */
  add(address: Address, reason: CloseReason, detail: string): void {
    this.#timer ??= setTimeout(() => this.reportAll(), this.#windowMs);
    if (this.#reported < MAX_REPORTED) {
      this.#reported++;
      return this.#listener.one(address, reason, detail);
    }
    this.#unreported.set(reason, (this.#unreported.get(reason) ?? 0) + 1);
  }

  /** Ends the current window: reports the unreported refusals, if any. */
  reportAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reported = 0;
    if (this.#unreported.size === 0) return;
    const counts = this.#unreported;
    this.#unreported = new Map();
    this.#listener.more(counts);
  }
}
