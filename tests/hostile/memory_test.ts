/**
 * How much memory a relay takes when everything is full at once that has a bound: what waits for
 * clients, lines without an end, the buffers that are read into, what is kept of publishers that wait for
 * a slow reader, subscriptions, and clients.
 */

import { assert } from "@std/assert/assert";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertStringIncludes } from "@std/assert/string-includes";
import type { Address } from "../../protocol/address.ts";
import { textOf } from "../support/bytes.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";
import { isFull, size } from "../support/size.ts";
import { eventually, pause, until } from "../support/waiting.ts";
import { canTell, peakBytes, residentBytes } from "../support/usage.ts";

const MIB = 1_048_576;

/** The limits of the relay; in a full run those that it has by default, as in the unit of docs/operations.md. */
const CLIENTS = size(1000, 10_000);
const SUBSCRIPTIONS = size(20_000, 200_000);
const PENDING = size(64, 512) * MIB;

/** The most memory that a relay takes with these limits by docs/operations.md, in bytes. */
const MOST = 250e6 + 20_000 * CLIENTS + 1200 * SUBSCRIPTIONS + 1.5 * PENDING;

/** How many events someone sends who is busy: more than a few reads take. */
const BUSY_EVENTS = 15_000;

/** How much waits for one client, beside what the system holds, in bytes; 8 MiB may. */
const PER_LAGGARD = 7.3e6;

/** So many publishers keep a line of a megabyte each waiting: an eighth of the above may be kept. */
const PUBLISHERS = Math.floor(PENDING / 8 / 1.01e6);

/** An event whose line has about `bytes` bytes. */
function eventOf(name: string, bytes: number): string {
  return `{"event":"${name}","__dict__":{"x":"${"x".repeat(bytes)}"}}\n`;
}

/** Does something `count` times, a few at a time. */
async function times(count: number, what: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await what(next++);
  };
  await Promise.all(Array.from({ length: 32 }, work));
}

/** What a relay says of itself. */
interface Report {
  readonly relay: {
    readonly clients: number;
    readonly eventsIn: number;
    readonly pendingBytes: number;
  };
  readonly clients: { readonly id: number; readonly pendingBytes: number }[];
}

/** Who fills a relay. */
class Filler implements AsyncDisposable {
  readonly #address: Address;
  readonly #peers: Peer[] = [];
  readonly #inspector: Peer;
  #questions = 0;
  #isOver = false;
  readonly #working: Promise<void>[] = [];

  private constructor(address: Address, inspector: Peer) {
    this.#address = address;
    this.#inspector = inspector;
  }

  static async start(address: Address): Promise<Filler> {
    const inspector = await Peer.connect(address);
    return new Filler(address, inspector);
  }

  /** One more client, which reads nothing. */
  async join(first = ""): Promise<Peer> {
    const peer = await Peer.connect(this.#address, { silent: true });
    this.#peers.push(peer);
    await peer.send(first);
    return peer;
  }

  /** Asks the relay how it is. */
  async ask(): Promise<Report> {
    const id = `i${++this.#questions}`;
    const before = this.#inspector.text.length;
    await this.#inspector.send(`{"control":"stats","id":"${id}"}\n`);
    await this.#inspector.sees(`"id":"${id}"`);
    await until(() => this.#inspector.text.endsWith("\n"));
    const lines = this.#inspector.text.slice(before).split("\n");
    return JSON.parse(lines.find((line) => line.includes(`"id":"${id}"`))!);
  }

  /** Waits until it accepted so many events; says how it is then. */
  async taken(events: number): Promise<Report> {
    const everyMs = 110; // The relay answers with the same report for 100 ms.
    return await eventually(async () => {
      const report = await this.ask();
      if (report.relay.eventsIn >= events) return report;
      throw new Error(`Only ${report.relay.eventsIn} of ${events} events were taken`);
    }, everyMs);
  }

  /** Sends over and over, until all is over. */
  keepSending(peer: Peer, text: string): void {
    this.#working.push((async () => {
      try {
        while (!this.#isOver) await peer.send(text);
      } catch {
        // It has been closed.
      }
    })());
  }

  /** Reads slowly, but so that it is seen to read. */
  keepReading(peer: Peer): void {
    this.#working.push((async () => {
      const buffer = new Uint8Array(65_536);
      try {
        while (!this.#isOver && await peer.conn.read(buffer) !== null) await pause(10);
      } catch {
        // It has been closed.
      }
    })());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    for (const peer of [...this.#peers, this.#inspector]) peer.close();
    await Promise.all(this.#working);
  }
}

Deno.test({
  name: "relay stays within the memory of docs/operations.md, with all limits reached at once",
  ignore: !canTell,
  async fn() {
    const limits = isFull ? [] : [
      `--max-total-pending-bytes=${PENDING}`,
      `--max-total-subscriptions=${SUBSCRIPTIONS}`,
    ];
    // So long that nobody is closed for time while all is being filled.
    const patience = ["--write-timeout=600000", "--line-timeout=600000", "--max-hold=2000"];
    const fixed = [
      "--port=0",
      "--log=json",
      "--no-echo",
      "--subscribe-first",
      `--max-clients=${CLIENTS}`,
    ];
    await using command = new Command([...fixed, ...limits, ...patience]);
    const [, hostname, port] = await command.expect(
      /"type":"listening".*"hostname":"([^"]*)","port":(\d+).*\n/,
    );
    const { pid } = command;
    const steps: string[] = [];
    const note = (what: string) =>
      steps.push(`${what}: ${Math.round(residentBytes(pid) / MIB)} MiB`);
    note("at first");
    await using filler = await Filler.start([hostname!, Number(port)]);

    // Who sends lines without an end.
    const strangers = Math.ceil(PENDING / 4 / MIB) + 4;
    await times(strangers, async () => {
      const stranger = await filler.join();
      await stranger.send("x".repeat(MIB - 10)).catch(() => {}); // It may be given up.
    });
    note(`${strangers} lines without an end`);

    // Who was busy a moment ago.
    const busy = size(50, 600);
    let events = busy * BUSY_EVENTS;
    await times(busy, async () => {
      const peer = await filler.join();
      await peer.send('{"event":"unheard"}\n'.repeat(BUSY_EVENTS));
    });
    note(`${busy} who were busy`);

    // All others do nothing, and have subscribed to what nobody else has.
    const laggards = Math.floor((0.98 * PENDING - 8 * MIB) / PER_LAGGARD);
    const others = CLIENTS - 10 - strangers - busy - laggards - PUBLISHERS;
    const each = Math.floor((SUBSCRIPTIONS - laggards - 10) / others);
    await times(others, async (i) => {
      const patterns = Array.from({ length: each }, (_, k) => `client.${i}.of.many.${k}.*`);
      await filler.join(
        `{"control":"hello","ack":true}\n${
          JSON.stringify({ control: "subscribe", events: patterns })
        }\n`,
      );
    });
    note(`${others} who have ${each} subscriptions each`);

    // Who reads nothing, and hears what a feeder sends to them one by one.
    const feeder = await filler.join();
    const ids: number[] = [];
    for (let i = 0; i < laggards; i++) {
      const peer = await filler.join(`{"control":"subscribe","events":["lag.${i}"]}\n`);
      await peer.send('{"control":"hello"}\n');
      const buffer = new Uint8Array(1000);
      const length = await peer.conn.read(buffer);
      const text = textOf(buffer.subarray(0, length!));
      const id = /"id":"c(\d+)"/.exec(text);
      assert(id !== null, text);
      ids.push(Number(id![1]));
    }
    let report = await filler.taken(events);
    for (;;) {
      const waiting = new Map(report.clients.map(({ id, pendingBytes }) => [id, pendingBytes]));
      let fed = 0;
      for (const [i, id] of ids.entries()) {
        const missing = PER_LAGGARD - (waiting.get(id) ?? 0);
        if (missing < 100_000) continue;
        // What the system takes at first is not known; then not all is sent at once.
        await feeder.send(eventOf(`lag.${i}`, Math.min(missing, 500_000)));
        fed++;
      }
      if (fed === 0) break;
      events += fed;
      report = await filler.taken(events);
    }
    note(`${laggards} who read nothing`);

    // Who reads slowly, and publishers that wait for it.
    const slow = await filler.join('{"control":"subscribe","events":["slow"]}\n');
    filler.keepReading(slow);
    for (let i = 0; i < PUBLISHERS; i++) {
      filler.keepSending(await filler.join(), eventOf("slow", 1_000_000));
    }
    for (let i = 0; i < size(10, 50); i++) await pause(100);
    note(`${PUBLISHERS} who wait for a slow reader`);

    report = await filler.ask();
    const summary = `at most ${Math.round(peakBytes(pid) / MIB)} MiB of ${
      Math.round(MOST / MIB)
    }; ${Math.round(report.relay.pendingBytes / MIB)} MiB wait for clients; ${steps.join(", ")}`;
    if (isFull) console.log(summary);
    assertGreater(report.relay.pendingBytes, 0.8 * PENDING, summary);
    assertGreater(report.relay.clients, 0.95 * CLIENTS, summary);
    assertStringIncludes(command.stdout, '"reason":"overloaded"', summary);
    assertLess(peakBytes(pid), MOST, summary);
  },
});
