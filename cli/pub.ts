/**
 * The `pub` command, which sends events.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import type { EbsocketClient } from "../client.ts";
import { ConnectionClosedError, EbsocketError, EventRefusedError } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";
import type { RawEvent } from "../protocol/raw_event.ts";
import { countOf } from "../protocol/units.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  connect,
  CONNECTION_GROUP,
  CONNECTION_NOTES,
  describeDisconnect,
  hearNothing,
  PATIENT_MS,
  subscribeIfPossible,
  type Target,
  whereIs,
} from "./connect.ts";
import { describeEnd, describeRefusal, messageOf, StartError, UsageError } from "./errors.ts";
import { EVENT_INSTEAD, readEventWords, toEvent } from "./event_args.ts";
import { flag } from "./flags.ts";
import { InputError, readEvents } from "./input_lines.ts";
import { PROGRAM } from "./program.ts";
import { Progress } from "./progress.ts";
import { stopSignal } from "./signals.ts";
import { Output, printErr } from "./stdio.ts";
import { isScreen, isTerminal } from "./terminal.ts";

/**
 * The maximum number of outstanding receipts before sending pauses. A client that requests more
 * receipts than it reads is closed as a slow consumer.
 */
const MAX_UNCONFIRMED = 10_000;

/** The maximum number of queued bytes before sending with receipts pauses. */
const MAX_PENDING_BYTES = 1_048_576;

/** Interval between checks whether the relay goes on accepting events, in milliseconds. */
const CHECK_MS = 2000;

/** The `pub` command. */
export const pub: Command = defineCommand({
  name: "pub",
  summary: "Send an event, or all events from standard input",
  about: "Send an event, or all events from standard input, one on each line.",
  usage: "[options] [HOST:PORT] NAME|- [KEY=TEXT|KEY:=JSON...]",
  examples: [
    `ebsockets pub message content="Hello there" priority:=2 tags:='["a","b"]'`,
    "ebsockets pub - < events.jsonl",
    "tail -F events.jsonl | ebsockets pub --reconnect -",
    "ebsockets pub --confirm done       # prints how many clients got it",
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.text("to", "ID", "Send only to this client, such as c7"),
      flag.switch("confirm", "Print how many clients each event has reached"),
      flag.switch(
        "reconnect",
        "Go on after the connection was lost (default: end); a relay with a history takes each " +
          "event once",
      ),
    ],
    instead: EVENT_INSTEAD,
  }, CONNECTION_GROUP],
  exits: {
    0: "The relay accepted all events",
    1: "An event was refused or invalid, or may not have arrived, the relay is unreachable, or no client has the --to ID",
    130: "Interrupted by Ctrl+C (143: SIGTERM)",
  },
  notes:
    `Lines from standard input are sent unchanged. The first line that is not an event ends the command,
which reports its position and the number of events sent before it. After --, an argument is a name
even if it begins with - or looks like HOST:PORT.

With --confirm, each event prints one line: the number of clients and the name.

With --reconnect, it waits for the relay whenever the connection is lost, and then sends what the
relay does not have. If the relay cannot tell, as one without a history, those on their way are not
sent again, but counted.

${CONNECTION_NOTES}`,
  async run(args) {
    const what = "the NAME of an event, or - for standard input";
    const { target, name, members } = readEventWords("pub", what, args);
    const { to, confirm, reconnect } = args.values;
    if (reconnect && (confirm || to !== undefined)) {
      throw new UsageError(`--reconnect and ${confirm ? "--confirm" : "--to"} exclude each other`);
    }
    const isInput = name === "-";
    if (isInput && members[0] !== undefined) {
      const surplus = quote(members[0]);
      throw new UsageError(
        `Unknown argument ${surplus}; to send a file, use ${PROGRAM} pub - < FILE`,
      );
    }
    const event = isInput ? null : toEvent(name, members);
    // Not shown if the user types the events, or if each event prints a line.
    using progress = new Progress("event", {
      isShown: isInput && !isTerminal("stdin") && !confirm && isScreen("stderr"),
    });
    const signal = stopSignal();
    await using client = await open(target, { to, confirm, reconnect }, signal);
    if (isInput && isTerminal("stdin")) printErr("Type events, one on each line; Ctrl+D ends");
    const batches = event ? [[event]] : readEvents(Deno.stdin);
    const publisher = new Publisher(client, progress, { to, confirm, reconnect });
    let fault: string | null;
    try {
      fault = await abortable(publisher.publish(batches), signal);
    } catch (error) {
      if (error === signal.reason) await publisher.interrupt();
      throw error;
    }
    const { sent, lost, refused, unconfirmed } = publisher;
    if (unconfirmed > 0) printErr(`error: ${unconfirmed} of ${sent} events may not have arrived`);
    if (fault !== null) throw new StartError(`${fault}; events sent before it: ${sent}`);
    if (to !== undefined && lost > 0) {
      const count = sent > 1 ? `${lost} of ${sent} events` : "the event";
      throw new StartError(
        `No client ${quote(to)}: ${count} had no recipient; ${PROGRAM} top lists the clients`,
      );
    }
    return refused + unconfirmed === 0 ? 0 : 1;
  },
});

/** Connects a client that receives no events from other clients, as far as the relay allows it. */
async function open(
  target: Target,
  { to, confirm }: PublisherOptions,
  signal: AbortSignal,
): Promise<EbsocketClient> {
  const [option, what] = to === undefined ? ["--confirm", "receipts"] : ["--to", "direct events"];
  const needsRelay = confirm || to !== undefined;
  const client = await connect(target, {
    reconnect: { maxQueuedEvents: Infinity, maxQueuedBytes: Infinity },
    welcomeTimeout: PATIENT_MS,
    ...(needsRelay && { prepare: hearNothing }),
    lack: (place) => `Cannot use ${option}: ${place} does not support ${what}`,
    signal,
  });
  // Not awaited: if it fails, the events of others are dropped here.
  if (!needsRelay) subscribeIfPossible(client, [], signal).catch(() => {});
  return client;
}

/** The options of a {@link Publisher}. */
interface PublisherOptions {
  readonly to: string | undefined;
  readonly confirm: boolean;
  readonly reconnect: boolean;
}

/** Events that are sent together, one batch after another. */
type Batches = Iterable<RawEvent[]> | AsyncIterable<RawEvent[]>;

/** Sends events, and counts how many the relay has accepted and how many had a recipient. */
class Publisher {
  readonly #client: EbsocketClient;
  readonly #progress: Progress;
  readonly #options: PublisherOptions;
  readonly #output = new Output();
  /** The number of events sent, without a recipient, refused, and of unknown fate. */
  sent = 0;
  lost = 0;
  refused = 0;
  unconfirmed = 0;
  /** The number of accepted events at the last check, and whether it had not grown. */
  #accepted = -1;
  #isStuck = false;
  /** Resolves while there is a connection. */
  #connected = Promise.withResolvers<void>();
  /** The number of outstanding receipts, the next one, and why one has failed to arrive. */
  #open = 0;
  #next = Promise.withResolvers<void>();
  #error: unknown;
  /** Resolves when all receipts are printed. */
  #printing = Promise.resolve();

  constructor(client: EbsocketClient, progress: Progress, options: PublisherOptions) {
    this.#client = client;
    this.#progress = progress;
    this.#options = options;
    this.#connected.resolve();
  }

  /**
   * Sends all events, and waits until the relay has accepted them. Resolves to the fault of the
   * input, or to `null`.
   *
   * @throws {StartError} If the connection ends first, or the server does not acknowledge events.
   */
  async publish(batches: Batches): Promise<string | null> {
    const watching = this.#watch();
    const discarding = this.#discard();
    const work = this.#work(batches);
    const checks = setInterval(() => this.#check(), CHECK_MS);
    try {
      await Promise.race([work, watching]);
      await this.#client.close();
      await Promise.all([watching, discarding, this.#printing]);
      return await work;
    } catch (error) {
      if (error instanceof ConnectionClosedError) await watching;
      // All receipts have come, so there is nothing to wait for. The relay may acknowledge nothing.
      if (error === this.#error) await this.#client.abort();
      throw error instanceof RangeError ? new StartError(messageOf(error)) : error;
    } finally {
      clearInterval(checks);
    }
  }

  /** Ends before all events are sent, and reports if the relay has not accepted all that were. */
  async interrupt(): Promise<void> {
    const client = this.#client;
    await client.close();
    const accepted = client.acknowledgedEvents;
    if (accepted === null || accepted >= this.sent) return;
    this.#progress.clear();
    printErr(`error: ${whereIs(client)} accepted ${accepted} of ${this.sent} events`);
  }

  /** Says that the relay accepts nothing for now, once until it does again. */
  #check(): void {
    const client = this.#client;
    const accepted = client.acknowledgedEvents;
    if (!client.connected || accepted === null || accepted >= this.sent) return;
    if (accepted > this.#accepted) {
      this.#accepted = accepted;
      this.#isStuck = false;
    } else if (!this.#isStuck) {
      this.#isStuck = true;
      this.#progress.clear();
      const count = countOf(this.sent - accepted, "event");
      printErr(`Waiting for ${whereIs(client)}, which accepts nothing for now (${count})`);
    }
  }

  async #work(batches: Batches): Promise<string | null> {
    const client = this.#client;
    const fault = await this.#sendAll(batches);
    // A receipt says more than an acknowledgement, and comes also if that does not.
    if (!this.#wantsReceipts) await this.#flush();
    while (this.#open > 0) await this.#next.promise;
    if (this.#error !== undefined) throw this.#error;
    if (client.acknowledgedEvents !== null) return fault;
    throw new StartError(
      `${whereIs(client)} does not acknowledge events: they were sent, but may not have arrived`,
    );
  }

  /** Waits until the relay has what was sent, over all connections. */
  async #flush(): Promise<void> {
    for (;;) {
      await this.#connected.promise;
      try {
        return await this.#client.flush();
      } catch (error) {
        // Some events are of unknown fate, and counted. Others may be on their way again.
        if (!this.#options.reconnect || !(error instanceof ConnectionClosedError)) throw error;
      }
    }
  }

  async #sendAll(batches: Batches): Promise<string | null> {
    const client = this.#client;
    try {
      for await (const events of batches) {
        await this.#connected.promise;
        let room: Promise<void> | undefined;
        for (const event of events) room = this.#send(event);
        await room;
        while (
          this.#open > MAX_UNCONFIRMED || this.#open > 0 && client.pendingBytes > MAX_PENDING_BYTES
        ) await this.#next.promise;
        this.#progress.done = this.sent;
      }
      return null;
    } catch (error) {
      if (error instanceof InputError) return error.message;
      throw error;
    }
  }

  get #wantsReceipts(): boolean {
    return this.#options.confirm || this.#options.to !== undefined;
  }

  /** Sends an event. Resolves when there is room for more, unless a receipt was requested. */
  #send(event: RawEvent): Promise<void> | undefined {
    const { to } = this.#options;
    this.sent++;
    if (!this.#wantsReceipts) return this.#client.sendEvent(event);
    const options = { confirm: true, timeout: Infinity, ...(to !== undefined && { to }) } as const;
    this.#takeReceipt(event, this.#client.sendEvent(event, options));
  }

  async #takeReceipt({ event: name }: RawEvent, receipt: Promise<number>): Promise<void> {
    this.#open++;
    try {
      const clients = await receipt;
      if (clients === 0) this.lost++;
      if (this.#options.confirm) this.#print(`${clients} ${printable(name)}\n`);
    } catch (error) {
      if (error instanceof EventRefusedError) this.#refuse(name, error.code, error.detail);
      else if (error instanceof EbsocketError && error.code === "incomplete") {
        this.#error ??= new StartError(
          `${whereIs(this.#client)} could not keep ${
            quote(name)
          }, or a relay of its cluster did not answer`,
        );
      } else this.#error ??= error;
    }
    this.#open--;
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  #refuse(name: string | null, reason: string, detail: string): void {
    this.refused++;
    this.#progress.clear();
    printErr(`error: ${describeRefusal(name, { reason, detail })}`);
  }

  /** Reports refusals until the client is closed. Rejects when the connection is lost before. */
  async #watch(): Promise<void> {
    const client = this.#client;
    for await (const status of client.status()) {
      if (status.type === "refused") {
        this.#refuse(status.event, status.reason, status.detail);
      } else if (status.type === "cluster" && status.state === "alone") {
        this.#progress.clear();
        printErr("The relay has lost the other relays, and may accept nothing until they are back");
      } else if (status.type === "disconnected" && this.#options.reconnect) {
        this.#connected = Promise.withResolvers();
        this.#progress.clear();
        printErr(`${describeDisconnect(status)}; reconnecting`);
        this.#noteUnconfirmed(status.unconfirmed.length);
      } else if (status.type === "reconnected") {
        printErr(`Reconnected to ${whereIs(client)}`);
        this.#noteUnconfirmed(status.unconfirmed.length);
        this.#connected.resolve();
      } else if (status.type === "disconnected" || status.type === "closed") {
        const { reason } = status.info;
        if (reason === "local") return;
        this.#connected = Promise.withResolvers(); // which is never again
        throw new StartError(
          `The connection to ${whereIs(client)} ended with ${describeEnd(status.info)}: ` +
            `it accepted ${client.acknowledgedEvents ?? 0} of ${this.sent} events`,
        );
      }
    }
  }

  #noteUnconfirmed(count: number): void {
    if (count === 0) return;
    this.unconfirmed += count;
    printErr(`${countOf(count, "event")} may not have arrived`);
  }

  /** Drops events that arrive nevertheless. Otherwise, a full inbox would hold receipts back. */
  async #discard(): Promise<void> {
    while ((await this.#client.recvEvents()).length > 0);
  }

  #print(line: string): void {
    this.#printing = this.#output.write(line);
    this.#printing.catch(() => {}); // Awaited at the end.
  }
}
