/** A peer that sends as fast as it is read: how much of that is taken while others have one turn. */

import { assert } from "@std/assert/assert";
import { assertLess } from "@std/assert/less";
import { EbsocketClient } from "../../client.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { Block, Piece } from "../../net/piece.ts";
import { EbsocketSystem } from "../../system.ts";
import { RawStream } from "../../net/tls_socket.ts";
import type { Socket } from "../../net/transport.ts";
import { utf8 } from "../support/bytes.ts";
import { SocketListener } from "../support/step_socket.ts";
import { turn } from "../support/turns.ts";
import { soon, until } from "../support/waiting.ts";
import { Writer } from "../../net/writer.ts";

/** How many round trips are measured. */
const ROUNDS = 30;

/**
 * How much may be read of a flood during a round trip of others, in bytes, on average. Two turns take
 * 2 MB on a fast machine. Where turns do not end, it is a share of all there is.
 */
const MAX_PLAIN_BYTES = 16e6;
const PLAIN_FLOOD_BYTES = 4e9;

/** The same for lines that cost several times as much, and for names that cost a hundred times. */
const MAX_SPECIAL_BYTES = 1.2e6;
const SPECIAL_FLOOD_BYTES = 4e8;
const MAX_NAMES_BYTES = 160_000;
const NAMES_FLOOD_BYTES = 2e7;

/** The same where each line becomes an object, or each block of up to 130 kB takes long to handle. */
const MAX_SLOW_BYTES = 4e6;
const SLOW_FLOOD_BYTES = 2e8;

/** How many events of the 10,000 that wait may be handled during a round trip, on average. */
const MAX_HANDLED_EVENTS = 1000;
const HANDLED_FLOOD_BYTES = 1.2e7;

/**
 * How many may be taken during any one round trip, if each takes long: of a block of 900 that are
 * checked, or of those that wait. The round trips go on until so many `EVENTS` have been taken.
 */
const MAX_EVENTS = 450;
const EVENTS = 4000;
const EVENTS_FLOOD_BYTES = 2.4e6;

const SUBSCRIBE = '{"control":"subscribe","events":["a"]}\n';
const WELCOME = '{"control":"welcome"}\n';
const PLAIN = `{"event":"flood","__dict__":{"content":"${"x".repeat(100)}"}}\n`;

/** A peer whose next bytes are always there already, as those of a busy one on the same machine are. */
class Flooder implements Socket {
  readonly remoteAddr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  bytesRead = 0;
  readonly #next: () => string;
  readonly #maxBytes: number;
  #rest: Uint8Array;
  readonly #closed = Promise.withResolvers<null>();

  /** Makes one that sends `first`, then what `next` gives, over and over, `maxBytes` in all. */
  constructor(first: string, next: () => string, maxBytes: number) {
    this.#next = next;
    this.#maxBytes = maxBytes;
    this.#rest = utf8(first);
  }

  read(buffer: Uint8Array): Promise<number | null> {
    if (this.bytesRead > this.#maxBytes) return this.#closed.promise;
    let length = 0;
    while (length < buffer.length) {
      if (this.#rest.length === 0) this.#rest = utf8(this.#next());
      const part = this.#rest.subarray(0, buffer.length - length);
      buffer.set(part, length);
      this.#rest = this.#rest.subarray(part.length);
      length += part.length;
    }
    this.bytesRead += length;
    return Promise.resolve(length);
  }

  write(bytes: Uint8Array): Promise<number> {
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  close(): void {
    this.#closed.resolve(null);
  }
}

/** Two sockets of this program that have nothing to do with the flood. */
class Others implements Disposable {
  readonly #one: Deno.Conn;
  readonly #two: Deno.Conn;

  private constructor(one: Deno.Conn, two: Deno.Conn) {
    this.#one = one;
    this.#two = two;
  }

  static async connect(): Promise<Others> {
    using subscriber = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = subscriber.accept();
    const { port } = subscriber.addr;
    const one = await Deno.connect({ hostname: "127.0.0.1", port });
    return new Others(one, await accepted);
  }

  /** Sends a byte there and back. */
  async roundTrip(): Promise<void> {
    for (const [from, to] of [[this.#one, this.#two], [this.#two, this.#one]] as const) {
      const read = to.read(new Uint8Array(16));
      await from.write(new Uint8Array(1));
      await read;
    }
  }

  [Symbol.dispose](): void {
    this.#one.close();
    this.#two.close();
  }
}

/** How much of a flood is taken during a round trip of others, on average. */
async function perRoundTrip(taken: () => number): Promise<number> {
  using others = await Others.connect();
  await until(() => taken() > 0);
  for (let round = 0; round < ROUNDS; round++) {
    await soon(others.roundTrip(), "a round trip of others");
  }
  return taken() / ROUNDS;
}

/** How many events of a flood are taken during a round trip of others, or before the first, at most. */
async function mostPerRoundTrip(taken: () => number): Promise<number> {
  using others = await Others.connect();
  await until(() => taken() > 0);
  let most = taken();
  while (taken() < EVENTS) {
    const before = taken();
    await soon(others.roundTrip(), "a round trip of others");
    most = Math.max(most, taken() - before);
  }
  return most;
}

/** Many lines; each `#` is another number. */
function lines(line: string): () => string {
  let number = 0;
  const constant = line.includes("#") ? "" : line.repeat(1000);
  return () => constant || line.replaceAll("#", () => `${number++}`);
}

for (
  const [what, line, maxBytes, floodBytes] of [
    ["plain events", PLAIN, MAX_PLAIN_BYTES, PLAIN_FLOOD_BYTES],
    ["new names", '{"event":"flood.#"}\n', MAX_NAMES_BYTES, NAMES_FLOOD_BYTES],
    [
      "events for one client",
      '{"event":"flood","to":"c1"}\n',
      MAX_SPECIAL_BYTES,
      SPECIAL_FLOOD_BYTES,
    ],
    [
      "events with receipts",
      '{"event":"flood","ack":"#"}\n',
      MAX_SPECIAL_BYTES,
      SPECIAL_FLOOD_BYTES,
    ],
    ["requests to nobody", '{"event":"no.#","id":"#"}\n', MAX_SPECIAL_BYTES, SPECIAL_FLOOD_BYTES],
  ] as const
) {
  Deno.test(`Relay serves other clients while one sends ${what} without end`, async () => {
    const flooder = new Flooder(SUBSCRIBE, lines(line), floodBytes);
    const relay = new Relay(new EbsocketServer({ listener: new SocketListener(flooder) }));
    const bytes = await perRoundTrip(() => flooder.bytesRead);
    const isThere = relay.clients.length === 1;
    await relay.close();
    await turn(); // Something may have waited for the next.
    assert(isThere); // What it is told has been written meanwhile, too.
    assertLess(bytes, maxBytes);
  });
}

for (const [how, ms] of [["fast", 0.5], ["slowly", 6]] as const) {
  Deno.test(`EbsocketConnection yields to other connections while a program handles lines ${how}`, async () => {
    const flooder = new Flooder("", lines(PLAIN), SLOW_FLOOD_BYTES);
    await using server = new EbsocketServer({ listener: new SocketListener(flooder) });
    const [connection] = await server.acceptConnection();
    connection.start({ onLines: () => work(ms), onClose() {} });
    const bytes = await perRoundTrip(() => flooder.bytesRead);
    await connection.close();
    await turn();
    assertLess(bytes, MAX_SLOW_BYTES);
  });
}

for (const [who, first] of [["all hear all", ""], ["some hear less", SUBSCRIBE]] as const) {
  Deno.test(`Relay serves other clients while it runs slow checks, where ${who}`, async () => {
    const flooder = new Flooder(first, lines(PLAIN), EVENTS_FLOOD_BYTES);
    let checked = 0;
    const flood = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate(value: unknown): { value: object } {
          checked++;
          work(0.4);
          return { value: value as object };
        },
      },
    } as const;
    const server = new EbsocketServer({ listener: new SocketListener(flooder) });
    const relay = new Relay(server, { events: defineEvents({ flood }), echo: false });
    const events = await mostPerRoundTrip(() => checked);
    await relay.close();
    await turn();
    assertLess(events, MAX_EVENTS);
  });
}

Deno.test("EbsocketSystem serves other clients while one sends without end", async () => {
  const flooder = new Flooder("", lines(PLAIN), SLOW_FLOOD_BYTES);
  const system = new EbsocketSystem(new EbsocketServer({ listener: new SocketListener(flooder) }));
  const reading = readAll(system);
  const bytes = await perRoundTrip(() => flooder.bytesRead);
  await system.close();
  await reading;
  await turn();
  assertLess(bytes, MAX_SLOW_BYTES);
});

Deno.test("EbsocketClient yields to other work while its server sends without end", async () => {
  const flooder = new Flooder(WELCOME, lines(PLAIN), SLOW_FLOOD_BYTES);
  const client = new EbsocketClient();
  await client.connectTo({ address: ["flooder", 1], dial: () => Promise.resolve(flooder) });
  const reading = readAll(client);
  const bytes = await perRoundTrip(() => flooder.bytesRead);
  await client.close();
  await reading;
  await turn();
  assertLess(bytes, MAX_SLOW_BYTES);
});

for (
  const [how, ms, floodBytes, measure, maxEvents] of [
    ["fast", 0.03, HANDLED_FLOOD_BYTES, perRoundTrip, MAX_HANDLED_EVENTS],
    ["slowly", 0.4, EVENTS_FLOOD_BYTES, mostPerRoundTrip, MAX_EVENTS],
  ] as const
) {
  Deno.test(`EbsocketClient yields to other work while a program handles events ${how}`, async () => {
    const flooder = new Flooder(WELCOME, lines(PLAIN), floodBytes);
    const client = new EbsocketClient();
    await client.connectTo({ address: ["flooder", 1], dial: () => Promise.resolve(flooder) });
    let handled = 0;
    let isMeasured = false;
    const reading = (async () => {
      for await (const _ of client) {
        handled++;
        if (!isMeasured) work(ms);
      }
    })();
    const events = await measure(() => handled);
    isMeasured = true;
    await client.close();
    await reading;
    await turn();
    assertLess(events, maxEvents);
  });
}

/** Keeps the loop busy for some milliseconds. */
function work(ms: number): void {
  for (const start = performance.now(); performance.now() - start < ms;);
}

async function readAll(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}

Deno.test("RawStream yields to other work while a peer sends without end", async () => {
  const flooder = new Flooder("", lines(PLAIN), SLOW_FLOOD_BYTES);
  const raw = new RawStream(flooder as Socket as Deno.TcpConn, null, () => {});
  raw.stream.on("data", () => work(0.5)); // as decrypting does
  const bytes = await perRoundTrip(() => flooder.bytesRead);
  raw.close();
  await turn();
  assertLess(bytes, MAX_SLOW_BYTES);
});

/** Writers whose peers take all at once; `written` counts. */
function writersTo(count: number, write: (bytes: Uint8Array) => void): Writer<null>[] {
  const target = {
    write(bytes: Uint8Array): Promise<number> {
      write(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  return Array.from({ length: count }, () => new Writer(target, Infinity, null, () => {}));
}

Deno.test("Writer yields to other work while many peers drain their queues", async () => {
  let written = 0;
  const writers = writersTo(300, ({ length }) => void (written += length));
  const block = new Block(utf8('{"event":"a"}\n'.repeat(300_000)));
  const piece = new Piece(block, 0, block.bytes.length, 300_000);
  // Each with numbers of its own: 2 GB in all.
  writers.forEach((writer, i) => writer.offerPieces([piece.numbered(1 + i)]));
  const bytes = await perRoundTrip(() => written);
  for (const writer of writers) writer.stop();
  await until(() => writers.every(({ busy }) => !busy));
  await turn();
  assertLess(bytes, MAX_PLAIN_BYTES);
});

Deno.test("Writer does not yield if it has little to write", async () => {
  let written = 0;
  const writers = writersTo(300, ({ length }) => {
    written += length;
    work(0.1);
  });
  const [quick] = writersTo(1, () => {});
  for (const writer of writers) writer.offer(new Uint8Array(200_000).fill(0x0a));
  quick!.offer(new Uint8Array([0x0a]));
  await quick!.flush();
  assertLess(written, 20_000_000); // of the 60,000,000 that wait
  for (const writer of writers) writer.stop();
  await until(() => writers.every(({ busy }) => !busy));
  await turn();
});
