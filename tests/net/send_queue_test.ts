import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { Block, MAX_BATCH_BYTES, Piece, SendBudget } from "../../net/piece.ts";
import { SendQueue } from "../../net/send_queue.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { fuzzRuns } from "../support/lines.ts";

/** A line of `length` bytes, its newline included. */
function line(length: number, char = "x"): Uint8Array<ArrayBuffer> {
  return utf8(`${char.repeat(length - 1)}\n`);
}

/** Takes everything out of a queue, at most `step` bytes at a time. */
function drain(queue: SendQueue, step = Infinity): Uint8Array {
  const written: Uint8Array[] = [];
  while (queue.bytes > 0) {
    const batch = queue.batch();
    const taken = batch.slice(0, Math.min(step, batch.length));
    written.push(taken);
    queue.consume(taken.length);
  }
  return concat(written);
}

Deno.test("SendQueue is empty at first", () => {
  const queue = new SendQueue(100);
  assertEquals(queue.maxBytes, 100);
  assertEquals(queue.bytes, 0);
  assertEquals(queue.lines, 0);
  assertEquals(queue.cut(), { lines: 0, bytes: 0 });
});

Deno.test("SendQueue.offer() accepts up to maxBytes and adds nothing beyond", () => {
  const queue = new SendQueue(10);
  assert(queue.offer(line(4)));
  assert(queue.offer(line(6)));
  assertEquals(queue.bytes, 10);
  assertEquals(queue.lines, 2);
  assertFalse(queue.offer(line(1)));
  assertEquals(queue.bytes, 10);
  assertEquals(queue.lines, 2);
  queue.batch();
  queue.consume(1);
  assertFalse(queue.offer(line(2)));
  assert(queue.offer(line(1)));
  assertEquals(queue.bytes, 10);
});

Deno.test("SendQueue.offer() accepts any block when nothing waits, so that none is unsendable", () => {
  const queue = new SendQueue(10);
  assert(queue.offer(line(1000)));
  assertFalse(queue.offer(line(1)));
  drain(queue);
  assert(queue.offer(line(1000)));
});

Deno.test("SendQueue.append() accepts a close line, however full the queue is", () => {
  const queue = new SendQueue(10);
  queue.offer(line(10));
  queue.append(line(50, "z"));
  assertEquals(queue.bytes, 60);
  assertEquals(queue.lines, 2);
  assertFalse(queue.offer(line(1)));
  assertEquals(textOf(drain(queue)), textOf(concat([line(10), line(50, "z")])));
});

Deno.test("SendQueue.batch() returns the same bytes until they are consumed", () => {
  const queue = new SendQueue(1000);
  queue.offer(utf8("one\ntwo\n"));
  assertEquals(textOf(queue.batch()), "one\ntwo\n");
  assertEquals(textOf(queue.batch()), "one\ntwo\n");
  queue.consume(2);
  assertEquals(textOf(queue.batch()), "e\ntwo\n");
  queue.consume(6);
  assertEquals(queue.bytes, 0);
  assertEquals(queue.lines, 0);
});

Deno.test("SendQueue.batch() joins small blocks into one write", () => {
  const queue = new SendQueue(1000);
  for (const text of ["one\n", "two\n", "three\n"]) queue.offer(utf8(text));
  assertEquals(textOf(queue.batch()), "one\ntwo\nthree\n");
  queue.consume(5);
  queue.offer(utf8("four\n"));
  assertEquals(textOf(queue.batch()), "wo\nthree\nfour\n");
});

Deno.test("SendQueue.batch() returns as much as fits into MAX_BATCH_BYTES", () => {
  assertEquals(MAX_BATCH_BYTES, 131_072);
  const queue = new SendQueue(Infinity);
  queue.offer(line(400_000));
  const sizes: number[] = [];
  while (queue.bytes > 0) {
    sizes.push(queue.batch().length);
    queue.consume(queue.batch().length);
  }
  assertEquals(sizes, [131_072, 131_072, 131_072, 400_000 - 3 * 131_072]);

  for (let i = 0; i < 4; i++) queue.offer(line(40_000));
  assertEquals(queue.batch().length, 120_000);
  drain(queue);
  for (const length of [40_000, 40_000, 51_072, 1]) queue.offer(line(length));
  assertEquals(queue.batch().length, 131_072);
});

Deno.test("SendQueue.batch() returns a single block without a copy", () => {
  const block = line(100);
  const queue = new SendQueue(1000);
  queue.offer(block);
  assertStrictEquals(queue.batch().buffer, block.buffer);
});

Deno.test("SendQueue.batch() joins small blocks once for all queues that share them", () => {
  const budget = new SendBudget();
  const queues = [1, 2, 3].map(() => new SendQueue(1000, budget));
  const [first, second, third] = queues;
  for (const block of [line(4), line(5)]) for (const queue of queues) queue.offer(block);
  third!.offer(line(6));
  assertStrictEquals(first!.batch(), second!.batch());
  assertEquals(third!.batch().length, 15);
});

Deno.test("SendQueue.batch() joins once for all queues of a server while another server sends, too", () => {
  const servers = [new SendBudget(), new SendBudget()];
  const queues = [0, 1, 0, 1].map((server) => new SendQueue(1000, servers[server]!));
  for (const length of [4, 5]) {
    const blocks = [line(length), line(length)];
    for (const [i, queue] of queues.entries()) queue.offer(blocks[i % 2]!);
  }
  const batches = queues.map((queue) => queue.batch());
  assertStrictEquals(batches[0], batches[2]);
  assertStrictEquals(batches[1], batches[3]);
  assertEquals(servers.map(({ bytes }) => bytes), [9, 9]);
});

Deno.test("SendQueue keeps the bytes of several queues apart, however much they share", () => {
  const blocks = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(7)), { maxLength: 12 });
  const steps = fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 30 })), { maxLength: 12 });
  fc.assert(
    fc.property(blocks, steps, blocks, (before, steps, after) => {
      const budget = new SendBudget();
      const queues = [0, 1, 2].map(() => new SendQueue(1000, budget));
      const expected = ["", "", ""];
      const actual = ["", "", ""];
      let name = 0x61;
      const offerAll = (blocks: [length: number, recipients: number][]) => {
        for (const [length, recipients] of blocks) {
          const block = line(length, String.fromCharCode(name++));
          queues.forEach((queue, i) => {
            if ((recipients >> i & 1) === 1) return;
            queue.offer(block);
            expected[i] += textOf(block);
          });
        }
      };
      offerAll(before);
      for (const [i, length] of steps) {
        const queue = queues[i]!;
        if (queue.bytes === 0) continue;
        const written = queue.batch().slice(0, length);
        queue.consume(written.length);
        actual[i] += textOf(written);
      }
      offerAll(after);
      queues.forEach((queue, i) => actual[i] += textOf(drain(queue)));
      assertEquals(actual, expected);
    }),
    { numRuns: fuzzRuns(2000) },
  );
});

Deno.test("SendQueue.lines counts the lines that are not completely written", () => {
  const queue = new SendQueue(1000);
  queue.offer(utf8("one\ntwo\n"));
  queue.offer(utf8("three\n"));
  const counts: number[] = [];
  while (queue.bytes > 0) {
    counts.push(queue.lines);
    queue.batch();
    queue.consume(1);
  }
  assertEquals(counts, [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
});

Deno.test("SendQueue.cut() counts the lines of a shared block once", () => {
  let searches = 0;
  class Searched extends Uint8Array<ArrayBuffer> {
    override indexOf(byte: number, from?: number): number {
      searches++;
      return super.indexOf(byte, from);
    }
  }
  const [unnumbered, numbered] = [0, 1].map((number) => {
    const bytes = new Searched(utf8('{"event":"a"}\n'.repeat(5000)).buffer);
    return new Piece(new Block(bytes), 0, bytes.length, 5000, number);
  });
  const bytes = new Searched(utf8("{}\n".repeat(5000)).buffer);
  const budget = new SendBudget();
  const queues = Array.from({ length: 100 }, () => new SendQueue(MAX_BATCH_BYTES * 8, budget));
  for (const queue of queues) {
    queue.offer(bytes);
    queue.offerPieces([unnumbered!, numbered!]);
  }
  assertEquals(queues.map((queue) => queue.cut().lines), Array(100).fill(15_000));
  assertLess(searches, 10_000, "the lines of one block of three");
});

Deno.test("SendQueue.cut() drops all lines whose writing has not begun", () => {
  const queue = new SendQueue(1000);
  queue.offer(utf8("one\ntwo\n"));
  queue.offer(utf8("three\n"));
  assertEquals(queue.cut(), { lines: 3, bytes: 14 });
  assertEquals(queue.bytes, 0);
  assertEquals(queue.lines, 0);
  queue.append(utf8("last\n"));
  assertEquals(textOf(drain(queue)), "last\n");
});

Deno.test("SendQueue.cut() keeps the rest of a line that is partly written", () => {
  const queue = new SendQueue(Infinity);
  queue.offer(utf8("one\ntwo\nthree\n"));
  assertEquals(queue.batch().length, 14);
  queue.consume(14);
  queue.offer(line(70_000, "a"));
  queue.offer(utf8("next\n"));
  queue.batch();
  queue.consume(100);
  assertEquals(queue.cut(), { lines: 1, bytes: 5 });
  assertEquals(queue.bytes, 69_900);
  assertEquals(queue.lines, 1);
  queue.append(utf8("last\n"));
  assertEquals(textOf(drain(queue)), `${"a".repeat(69_899)}\nlast\n`);
});

Deno.test("SendQueue.cut() keeps the current batch up to the end of its last line", () => {
  const queue = new SendQueue(Infinity);
  const lines = "0123456789\n".repeat(20_000);
  queue.offer(utf8(lines));
  const batch = textOf(queue.batch());
  const { bytes, lines: dropped } = queue.cut();
  queue.append(utf8("last\n"));
  // The write of the batch ends only now, and it may have taken all of it.
  queue.consume(batch.length);
  const written = batch + textOf(drain(queue));
  assertEquals(written, `${"0123456789\n".repeat(Math.ceil(131_072 / 11))}last\n`);
  assertEquals(bytes, lines.length - (written.length - 5));
  assertEquals(dropped, 20_000 - 11_916);
});

Deno.test("SendQueue.cut() leaves a queue whose next batch is never empty", () => {
  const queue = new SendQueue(Infinity);
  const block = concat([line(131_072), line(131_072)]);
  queue.offer(block);
  queue.consume(queue.batch().length);
  assertEquals(queue.cut(), { lines: 1, bytes: 131_072 });
  queue.append(line(140_000));
  assertEquals(queue.batch().length, 131_072);
});

Deno.test("SendQueue never changes a block, which other queues share", () => {
  const blocks = [line(10, "a"), line(70_000, "b"), line(20, "c"), line(30, "d")];
  const copies = blocks.map((block) => block.slice());
  const budget = new SendBudget();
  const steps = [1, 7, 5000, Infinity];
  const queues = steps.map((step) => ({ step, queue: new SendQueue(1e6, budget) }));
  for (const block of blocks) for (const { queue } of queues) queue.offer(block);
  for (const { step, queue } of queues) {
    assertEquals(drain(queue, step === 1 ? 997 : step * 100), concat(copies));
  }
  assertEquals(blocks, copies);
});

/** One thing that happens to a queue. */
type Step =
  | { type: "offer" | "append"; lengths: number[] }
  | { type: "pieces"; pieces: { lengths: number[]; isNumbered: boolean }[] }
  | { type: "flood"; count: number }
  | { type: "write"; part: number }
  | { type: "begin" }
  | { type: "cut" };

const lengths = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 40 }) },
    { weight: 1, arbitrary: fc.constantFrom(1000, 30_000, 131_071, 131_072, 131_073) },
  ),
  { minLength: 1, maxLength: 3 },
);
const pieces = fc.array(fc.record({ lengths, isNumbered: fc.boolean() }), {
  minLength: 1,
  maxLength: 3,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: lengths.map((lengths): Step => ({ type: "offer", lengths })) },
  { weight: 1, arbitrary: lengths.map((lengths): Step => ({ type: "append", lengths })) },
  { weight: 4, arbitrary: pieces.map((pieces): Step => ({ type: "pieces", pieces })) },
  { weight: 1, arbitrary: fc.nat(200).map((count): Step => ({ type: "flood", count })) },
  { weight: 4, arbitrary: fc.nat(1000).map((part): Step => ({ type: "write", part })) },
  { weight: 2, arbitrary: fc.constant<Step>({ type: "begin" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ type: "cut" }) },
);

/**
 * A queue next to a model of it: the text that has been accepted and not been dropped, and how much
 * of that has been written.
 */
class Run {
  readonly queue = new SendQueue(100_000);
  readonly shared: [block: Uint8Array, copy: Uint8Array][] = [];
  accepted = "";
  written = "";
  #count = 0;
  /** What the next event gets that has a number. */
  #number = 1;
  /** The batch of a write that is under way. */
  #batch: string | null = null;
  /** Where the last batch ended. */
  #given = 0;

  #waiting(): number {
    return this.accepted.length - this.written.length;
  }

  #block(lengths: number[]): Uint8Array {
    const char = String.fromCharCode(0x61 + this.#count++ % 26);
    const block = concat(lengths.map((length) => line(length, char)));
    this.shared.push([block, block.slice()]);
    return block;
  }

  do(step: Step): void {
    if (step.type === "offer" || step.type === "append") this.#add(step.type, step.lengths);
    else if (step.type === "pieces") this.#addPieces(step.pieces);
    else if (step.type === "cut") this.#cut();
    else if (step.type === "flood") {
      for (let i = 0; i < step.count; i++) this.#add("offer", [1 + i % 20]);
    } else if (this.queue.bytes > 0) this.#write(step);
    this.#check();
  }

  #add(type: "offer" | "append", lengths: number[]): void {
    const block = this.#block(lengths);
    if (type === "append") this.queue.append(block);
    else {
      const fits = this.#waiting() === 0 || this.#waiting() + block.length <= 100_000;
      assertEquals(this.queue.offer(block), fits);
      if (!fits) return;
    }
    this.accepted += textOf(block);
  }

  #addPieces(added: { lengths: number[]; isNumbered: boolean }[]): void {
    let number = this.#number;
    let text = "";
    const pieces = added.map(({ lengths, isNumbered }) => {
      const lines = lengths.map((length) => ` {${"x".repeat(length)}\n`);
      const block = utf8(`before\n${lines.join("")}after\n`);
      this.shared.push([block, block.slice()]);
      const first = isNumbered ? number : 0;
      for (const line of lines) {
        text += isNumbered ? line.replace("{", `{"seq":${number++},`) : line;
      }
      return new Piece(new Block(block), 7, block.length - 6, lines.length, first);
    });
    const fits = this.#waiting() === 0 || this.#waiting() + text.length <= 100_000;
    assertEquals(this.queue.offerPieces(pieces), fits);
    if (!fits) return;
    this.#number = number;
    this.accepted += text;
  }

  #write(step: Step): void {
    this.#batch ??= textOf(this.queue.batch());
    this.#given = this.written.length + this.#batch.length;
    assertGreater(this.#batch.length, 0);
    assertLessOrEqual(this.#batch.length, MAX_BATCH_BYTES);
    assert(this.accepted.startsWith(this.#batch, this.written.length));
    if (step.type !== "write") return;
    const taken = Math.ceil(this.#batch.length * step.part / 1000);
    this.queue.consume(taken);
    this.written += this.#batch.slice(0, taken);
    this.#batch = null;
  }

  #cut(): void {
    const before = { lines: this.queue.lines, bytes: this.queue.bytes };
    const dropped = this.queue.cut();
    assertEquals(dropped, {
      lines: before.lines - this.queue.lines,
      bytes: before.bytes - this.queue.bytes,
    });
    const kept = this.accepted.slice(0, this.accepted.length - dropped.bytes);
    // At least the line that has been begun or is being written, at most that of the last batch.
    const least = this.#lineEnd(this.written.length + (this.#batch?.length ?? 0));
    const most = this.#lineEnd(Math.max(this.#given, this.written.length));
    assert([least, most].includes(kept.length), `${kept.length}: ${least}, ${most}`);
    this.accepted = kept;
  }

  /** Where the line ends of which the byte before `position` is part. */
  #lineEnd(position: number): number {
    return position === 0 ? 0 : this.accepted.indexOf("\n", position - 1) + 1;
  }

  #check(): void {
    assertEquals(this.queue.bytes, this.#waiting());
    const waiting = this.accepted.slice(this.written.length);
    assertEquals(this.queue.lines, waiting.split("\n").length - 1);
  }
}

Deno.test("SendQueue behaves as a plain model, and writes accepted lines unchanged", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const run = new Run();
      for (const each of steps) run.do(each);
      while (run.queue.bytes > 0) run.do({ type: "write", part: 1000 });
      assertEquals(run.written, run.accepted);
      for (const [block, copy] of run.shared) assertEquals(indexOfChange(block, copy), -1);
    }),
    { numRuns: fuzzRuns(300) },
  );
});

/** Where two arrays of one length differ first, or -1. */
function indexOfChange(a: Uint8Array, b: Uint8Array): number {
  return a.findIndex((byte, i) => byte !== b[i]);
}

Deno.test("SendQueue.cut() leaves whole lines only, after any partial write of any block", () => {
  const blocks = ["a\n", "bbb\ncc\n", "\n", "dddd\n"];
  const all = blocks.join("");
  for (let first = 0; first <= all.length; first++) {
    for (let second = 0; first + second <= all.length; second++) {
      for (const isWriting of [false, true]) {
        const queue = new SendQueue(100);
        for (const block of blocks) queue.offer(utf8(block));
        let written = "";
        for (const taken of [first, second]) {
          written += textOf(queue.batch().slice(0, taken));
          queue.consume(taken);
          if (queue.bytes === 0) break;
        }
        const batch = isWriting && queue.bytes > 0 ? textOf(queue.batch()) : "";
        queue.cut();
        queue.append(utf8("last\n"));
        queue.consume(batch.length);
        written += batch + textOf(drain(queue));
        assert(written.endsWith("\nlast\n") || written === "last\n");
        assert(all.startsWith(written.slice(0, -5)), written);
      }
    }
  }
});

Deno.test("SendBudget counts shared bytes once, from the first queue to the last", () => {
  const total = new SendBudget();
  const queues = [1, 2, 3].map(() => new SendQueue(1000, total));
  const shared = line(100);
  for (const queue of queues) queue.offer(shared);
  assertEquals(total.bytes, 100);
  queues[0]!.offer(line(7));
  assertEquals(total.bytes, 107);
  drain(queues[1]!, 30);
  queues[2]!.abandon();
  queues[2]!.abandon();
  assertEquals(total.bytes, 107);
  drain(queues[0]!);
  assertEquals(total.bytes, 0);
});

Deno.test("SendBudget counts a block once, whatever parts of it are pending in which queues", () => {
  const total = new SendBudget();
  const bytes = utf8("x".repeat(9999) + "\n");
  const queues = [1, 2, 3].map(() => new SendQueue(Infinity, total));
  const block = Block.of(bytes);
  queues.forEach((queue, i) => {
    queue.offerPieces([new Piece(block, 0, 5000 + i), new Piece(block, 5000 + i)]);
  });
  assertEquals(total.bytes, 10_000);
  assertEquals(queues.map(({ bytes }) => bytes), [10_000, 10_000, 10_000]);
  for (const queue of queues) assertEquals(drain(queue), bytes);
  assertEquals(total.bytes, 0);
});

Deno.test("Block.of() finds a block that was kept again by any part of its bytes", () => {
  const bytes = line(1000);
  const block = Block.of(bytes);
  assertStrictEquals(block.bytes, bytes);
  assertEquals(Block.of(bytes.subarray(7)).bytes, bytes);
  assertNotStrictEquals(Block.of(bytes.subarray(7)), block);
  block.keep();
  assertStrictEquals(Block.of(bytes.subarray(7)), block);
});

Deno.test("SendBudget counts numbered events once until they are written, then a batch for each number", () => {
  const total = new SendBudget(536_870_912, () => {});
  const queues = Array.from({ length: 100 }, () => new SendQueue(Infinity, total));
  const block = new Block(utf8('{"event":"a"}\n'.repeat(100_000)));
  queues.forEach((queue, i) => {
    queue.offerPieces([new Piece(block, 0, block.bytes.length, 100_000, 1 + (i < 50 ? 0 : i))]);
  });
  assertEquals(total.bytes, block.bytes.length);
  for (const queue of queues) queue.batch();
  const batches = (total.bytes - block.bytes.length) / MAX_BATCH_BYTES;
  assertGreater(batches, 50.9);
  assertLessOrEqual(batches, 51);
  const texts = queues.slice(48, 52).map((queue) => textOf(drain(queue)));
  assertStrictEquals(texts[0], texts[1]);
  for (const [text, first] of [[texts[0], 1], [texts[2], 51], [texts[3], 52]] as const) {
    const lines = text!.trimEnd().split("\n");
    assertEquals(lines.length, 100_000);
    assert(lines.every((line, i) => line === `{"seq":${first + i},"event":"a"}`));
  }
});

Deno.test("SendBudget is never exceeded by joined blocks alone, however many queues there are", () => {
  let excesses = 0;
  const total = new SendBudget(4_000_000, () => excesses++);
  const block = new Block(utf8('{"event":"a"}\n'.repeat(100_000)));
  for (let i = 0; i < 300; i++) {
    const queue = new SendQueue(Infinity, total);
    queue.offerPieces([new Piece(block, 0, block.bytes.length, 100_000, 1 + i)]);
    queue.batch();
  }
  assertLess(total.bytes, 4_000_000);
});

Deno.test("SendQueue.batch() puts a number into a long line without a copy of it", () => {
  const total = new SendBudget();
  const block = new Block(utf8(`  {"event":"${"x".repeat(500_000)}"}\n{"event":"a"}\n`));
  const piece = new Piece(block, 0, block.bytes.length, 2);
  const queues = [1, 2, 3].map(() => new SendQueue(Infinity, total));
  queues.forEach((queue, i) => queue.offerPieces([piece.numbered(9 + i)]));
  queues.forEach((queue, i) => {
    assertEquals(textOf(queue.batch()), `  {"seq":${9 + i},`);
    queue.consume(queue.batch().length);
    assertStrictEquals(queue.batch().buffer, block.bytes.buffer);
    assertEquals(queue.cut(), { lines: 1, bytes: `{"seq":${10 + i},"event":"a"}\n`.length });
    const text = `"event":"${"x".repeat(500_000)}"}\n`;
    assertEquals(textOf(drain(queue)), text);
  });
  assertEquals(total.bytes, 0);
});

Deno.test("SendQueue.cut() keeps the rest of a line that is in several pieces", () => {
  const queue = new SendQueue(Infinity);
  const text = `{"event":"${"x".repeat(200_000)}"}\n`;
  queue.offerPieces([new Piece(new Block(utf8(text)), 0, text.length, 1, 5)]);
  queue.offer(utf8("next\n"));
  assertEquals(textOf(queue.batch()), '{"seq":5,');
  queue.consume(4);
  assertEquals(queue.cut(), { lines: 1, bytes: 5 });
  queue.append(utf8("last\n"));
  assertEquals(textOf(drain(queue)), `q":5,${text.slice(1)}last\n`);
});

Deno.test("SendBudget counts many small shared blocks once, too", () => {
  const total = new SendBudget();
  const queues = [1, 2, 3].map(() => new SendQueue(Infinity, total));
  const blocks = Array.from({ length: 1000 }, (_, i) => utf8(`${i}\n`));
  const big = line(100_000);
  for (const block of [big, ...blocks]) for (const queue of queues) queue.offer(block);
  const text = textOf(concat([big, ...blocks]));
  assertEquals(total.bytes, text.length);
  for (const queue of queues) assertEquals(textOf(drain(queue)), text);
  assertEquals(total.bytes, 0);
});

Deno.test("SendQueue needs little more memory for small blocks than it counts", async () => {
  const code = `
    import { SendQueue } from "${import.meta.resolve("../../net/send_queue.ts")}";
    const queue = new SendQueue(Infinity);
    queue.offer(new Uint8Array(100_000)); // is being written
    const used = () => { gc(); return Deno.memoryUsage(); };
    const before = used();
    for (let i = 0; i < 200_000; i++) queue.offer(new Uint8Array(16));
    const after = used();
    console.log(after.heapUsed - before.heapUsed + after.external - before.external, queue.bytes);
  `;
  const args = ["eval", "--quiet", "--no-check", "--v8-flags=--expose-gc", code];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
  const [growth, bytes] = textOf(stdout).trim().split(" ").map(Number);
  assertEquals(bytes, 3_300_000);
  assertGreater(growth!, 0);
  assertLess(growth!, 2 * bytes!);
});

Deno.test("SendBudget is zero when all queues are empty, after any sequence of operations", () => {
  const action = fc.oneof(
    fc.record({ do: fc.constant("offer" as const), size: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ do: fc.constant("pieces" as const), size: fc.constantFrom(1, 40, 200_000) }),
    fc.record({ do: fc.constant("write" as const), size: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constant("cut" as const), size: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), action)), (actions) => {
      const total = new SendBudget();
      const queues = [0, 1, 2].map(() => new SendQueue(Infinity, total));
      for (const [which, { do: what, size }] of actions) {
        const queue = queues[which]!;
        if (what === "offer") {
          const lines = line(size);
          for (const each of queues.slice(which)) each.offer(lines);
        } else if (what === "pieces") {
          const block = new Block(utf8(`{}\n{${"x".repeat(size)}}\n{}\n`));
          const piece = new Piece(block, 3, block.bytes.length, 2);
          for (const [i, each] of queues.slice(which).entries()) {
            each.offerPieces([piece.numbered(7 + (i & 1)), piece]);
          }
        } else if (what === "cut") {
          queue.cut();
        } else if (queue.bytes > 0) {
          queue.consume(Math.min(size, queue.batch().length));
        }
        const all = queues.reduce((sum, { bytes }) => sum + bytes, 0);
        assertGreaterOrEqual(total.bytes, 0);
        assertEquals(total.bytes > 0, all > 0);
      }
      for (const [i, queue] of queues.entries()) i === 0 ? queue.abandon() : drain(queue);
      assertEquals(total.bytes, 0);
    }),
    { numRuns: fuzzRuns(500) },
  );
});

Deno.test("SendQueue.cut() never adds to the total", async () => {
  let told = 0;
  const total = new SendBudget(100_000, () => told++);
  const block = line(90_000);
  const queues = [1, 2, 3].map(() => new SendQueue(Infinity, total));
  for (const queue of queues) queue.offer(block);
  queues.forEach((queue, i) => {
    queue.batch();
    queue.consume(1 + i);
  });
  for (const queue of queues) queue.cut();
  await Promise.resolve();
  assertEquals(told, 0);
  assertEquals(total.bytes, 90_000);
  assertEquals(queues.map(({ bytes }) => bytes), [89_999, 89_998, 89_997]);
});

Deno.test("SendBudget reports an excess once a turn", async () => {
  let told = 0;
  const total = new SendBudget(10, () => told++);
  const queue = new SendQueue(Infinity, total);
  queue.offer(line(10));
  await Promise.resolve();
  assertEquals(told, 0);
  queue.offer(line(1));
  queue.offer(line(1));
  assertEquals(told, 0);
  await Promise.resolve();
  assertEquals(told, 1);
  queue.offer(line(1));
  await Promise.resolve();
  assertEquals(told, 2);
});
