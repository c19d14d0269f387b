import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { concat } from "@std/bytes/concat";
import { LinkStream } from "../../cluster/link_stream.ts";
import { decodeMessage, type LinkHead } from "../../protocol/cluster.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";
import { turn } from "../support/turns.ts";

/** Number of random runs. Ends that never agree are rare. */
const SEEDS = size(20_000, 200_000);

/** Two relays, and the messages between them that have not arrived. */
class Pair {
  readonly streams: LinkStream[] = [];
  readonly ways: Uint8Array[][] = [[], []];
  /** The parts of all messages. */
  readonly parts: Uint8Array[] = [];
  restarts = 0;

  readonly #maxMessageBytes: number;

  constructor(maxMessageBytes = 1000) {
    this.#maxMessageBytes = maxMessageBytes;
    this.streams.push(this.#open(0), this.#open(1));
  }

  #open(side: number): LinkStream {
    return new LinkStream({
      id: `r${`${side}`.repeat(8)}`,
      maxMessageBytes: this.#maxMessageBytes,
      maxReadBytes: 16_384,
      send: (head, part) => {
        this.ways[side]!.push(concat([head, part]));
        this.parts.push(part);
      },
      whenReady: () => null,
    });
  }

  /** Gives up one end, as a relay does that has held the other to be gone. */
  restart(side: number): void {
    this.restarts++;
    this.streams[side]!.close();
    this.streams[side] = this.#open(side);
  }

  /** Delivers the oldest message from a side, or loses it. Returns its head, if there was one. */
  deliver(side: number, isLost = false): LinkHead | null {
    const message = this.ways[side]!.shift();
    if (!message) return null;
    const { head, part } = decodeMessage(message)!;
    if (isLost || head.control !== "link") return null;
    if (this.streams[1 - side]!.take(head, part)) return head;
    this.restart(1 - side);
    assert(this.streams[1 - side]!.take(head, part));
    return head;
  }

  /** Delivers all messages. Returns how many there were. */
  settle(): number {
    let count = 0;
    while (this.ways.some(({ length }) => length > 0)) {
      for (const side of [0, 1]) if (this.deliver(side)) count++;
      assertLess(count, 1000);
    }
    return count;
  }
}

async function readAll(stream: LinkStream, length: number): Promise<string> {
  let text = "";
  while (text.length < length) text += textOf((await stream.readChunk())!);
  return text;
}

Deno.test("LinkStream carries bytes in both directions once both ends know each other", async () => {
  const pair = new Pair();
  const [a, b] = pair.streams;
  assertFalse(a!.isEstablished);
  pair.settle();
  assert(a!.isEstablished && b!.isEstablished);
  assertEquals(await a!.write(utf8("to b")), 4);
  assertEquals(await b!.write(utf8("to a")), 4);
  pair.settle();
  assertEquals(await readAll(b!, 4), "to b");
  assertEquals(await readAll(a!, 4), "to a");
});

Deno.test("LinkStream writes no more in a message than the backplane takes", async () => {
  const pair = new Pair();
  pair.settle();
  const count = await pair.streams[0]!.write(new Uint8Array(5000));
  assertLess(count, 1000);
  assertGreater(count, 500);
  assertLess(pair.ways[0]!.at(-1)!.length, 1001);
});

Deno.test("LinkStream reads no more at once than it may, and confirms what was read", async () => {
  const pair = new Pair(40_000);
  pair.settle();
  const [a, b] = pair.streams;
  const bytes = Uint8Array.from({ length: 30_000 }, (_, i) => i);
  assertEquals(await a!.write(bytes), bytes.length);
  pair.settle();
  const chunks = [];
  while (b!.hasChunk) chunks.push((await b!.readChunk())!);
  assertEquals(chunks.map(({ length }) => length), [16_384, 13_616]);
  assertEquals(concat(chunks), bytes);
  assertFalse(a!.isDone);
  b!.confirm();
  pair.settle();
  assert(a!.isDone);
});

Deno.test("LinkStream keeps no long buffer in memory for the sake of a short part", async () => {
  const pair = new Pair(20_000);
  pair.settle();
  const block = new Uint8Array(10_000);
  await pair.streams[0]!.write(block.subarray(0, 4000));
  await pair.streams[0]!.write(block.subarray(4000));
  assertEquals(pair.parts.slice(-2).map(({ buffer }) => buffer.byteLength), [4000, 10_000]);
});

Deno.test("LinkStream waits while too much is not confirmed", async () => {
  const pair = new Pair();
  pair.settle();
  const [a, b] = pair.streams;
  let written = 0;
  const writing = (async () => {
    while (written < 5_000_000) written += await a!.write(new Uint8Array(5000));
  })();
  for (let i = 0; i < 10_000; i++) await null;
  assertLess(written, 4_200_000);
  assertGreater(written, 3_000_000);
  let read = 0;
  while (read < written || written < 5_000_000) {
    while (pair.deliver(0));
    while (pair.deliver(1));
    if (read < written) read += (await b!.readChunk())!.length;
    else await null;
  }
  await writing;
});

Deno.test("LinkStream sends again what is lost, once, in order", async () => {
  using clock = new Clock();
  const pair = new Pair();
  pair.settle();
  const [a, b] = pair.streams;
  for (const text of ["1", "2", "3", "4"]) await a!.write(utf8(text));
  pair.deliver(0);
  pair.deliver(0, true);
  pair.settle();
  assertEquals(await readAll(b!, 4), "1234");
  await a!.write(utf8("5"));
  pair.deliver(0, true);
  clock.advance(1000);
  a!.report(); // the last message is noticed, too
  pair.settle();
  assertEquals(await readAll(b!, 1), "5");
  b!.confirm();
  pair.settle();
  assert(a!.isDone);
});

Deno.test("LinkStream begins anew where the other end is a new one, and ends the old stream", async () => {
  const pair = new Pair();
  pair.settle();
  const [old] = pair.streams;
  const reading = old!.readChunk();
  pair.restart(1);
  pair.settle();
  assertEquals(await reading, null);
  assertEquals(pair.restarts, 2);
  const [a, b] = pair.streams;
  await a!.write(utf8("x"));
  pair.settle();
  assertEquals(await readAll(b!, 1), "x");
});

Deno.test("Two ends that are given up at the same time agree on new ones, whatever is on its way", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomsFrom(seed);
    const pair = new Pair();
    if (seed % 2 === 0) pair.settle(); // Otherwise the first ends may be given up at once.
    for (let i = 0; i < 30; i++) {
      const side = random(2);
      const what = random(10);
      if (what === 0) pair.restart(side);
      else if (what < 4 && pair.streams[side]!.isEstablished) {
        await pair.streams[side]!.write(utf8("old "));
      } else pair.deliver(side, random(10) < 3);
    }
    pair.restarts = 0;
    for (const stream of pair.streams) stream.report();
    pair.settle();
    for (const stream of pair.streams) stream.report(); // what was lost before is noticed
    pair.settle();
    assertLess(pair.restarts, 4, `seed ${seed}`);
    assert(pair.streams.every(({ isEstablished }) => isEstablished), `seed ${seed}`);
  }
  await turn();
});
