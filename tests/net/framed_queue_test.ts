// The send queue of a peer whose lines are wrapped: whole frames or messages, whatever happens.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { EventStreamCodec } from "../../net/event_stream.ts";
import { Block, Piece, SendBudget } from "../../net/piece.ts";
import { SendQueue } from "../../net/send_queue.ts";
import { WebSocketCodec } from "../../net/websocket.ts";
import { pongFrame } from "../../protocol/frame_encoder.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { fuzzRuns } from "../support/lines.ts";

const { encoding: FRAMES } = new WebSocketCodec();
const { encoding: MESSAGES } = new EventStreamCodec();

const HEAD = "HTTP/1.1 101\r\n\r\n";

/** Returns a queue that wraps lines, behind its head. */
function wrapped(encoding = FRAMES, maxBytes = Infinity, budget = new SendBudget()): SendQueue {
  const queue = new SendQueue(maxBytes, budget);
  queue.wrap(encoding, utf8(HEAD));
  return queue;
}

/** Takes all bytes that a queue lets go. */
function drain(queue: SendQueue): Uint8Array {
  const batches: Uint8Array[] = [];
  while (queue.isReady) {
    const batch = queue.batch().slice();
    queue.consume(batch.length);
    batches.push(batch);
  }
  return concat(batches);
}

/** Decodes frames of a server, behind the head; a Pong is its payload in brackets. */
function textsOf(bytes: Uint8Array): string[] {
  assertEquals(textOf(bytes.subarray(0, HEAD.length)), HEAD);
  const texts: string[] = [];
  for (let i = HEAD.length; i < bytes.length;) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + i);
    const short = view.getUint8(1);
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length = short < 126 ? short : short === 126 ? view.getUint16(2) : view.getUint32(6);
    const least = start === 2 ? 0 : start === 4 ? 126 : 65_536;
    assert(length >= least, "a length is not in its shortest form");
    assert(i + start + length <= bytes.length, "a frame is incomplete");
    const text = textOf(bytes.subarray(i + start, i + start + length));
    texts.push(view.getUint8(0) === 0x81 ? text : `[${text}]`);
    i += start + length;
  }
  return texts;
}

Deno.test("SendQueue wraps each line that is queued after its head", () => {
  const queue = wrapped();
  queue.offer(utf8("one\n"));
  queue.append(utf8("two\nthree\n"));
  queue.appendEncoded(pongFrame(utf8("pong")));
  queue.offerPieces([new Piece(new Block(utf8('{"a":1}\n{"b":2}\n')), 0, 16, 2)]);
  assertEquals(queue.lines, 5);
  const texts = textsOf(drain(queue));
  assertEquals(texts, ["one", "two", "three", "[pong]", '{"a":1}', '{"b":2}']);
});

Deno.test("SendQueue shares an encoded block among all queues of an encoding", () => {
  const budget = new SendBudget();
  const text = `{"event":"${"x".repeat(1000)}"}\n`.repeat(100);
  const piece = new Piece(new Block(utf8(text)), 0, text.length, 100);
  const queues = [FRAMES, FRAMES, MESSAGES, FRAMES].map((each) => wrapped(each, 1e9, budget));
  for (const queue of queues) queue.offerPieces([piece]);
  assertLess(budget.bytes, 2.1 * text.length);
  const heads = queues.map((queue) => {
    queue.consume(queue.batch().length);
    return queue.batch().buffer;
  });
  assertStrictEquals(heads[0], heads[1]);
  assertStrictEquals(heads[0], heads[3]);
  for (const queue of queues) drain(queue);
  assertEquals(budget.bytes, 0);
});

Deno.test("SendQueue keeps no encoded block for which a queue has no room", () => {
  const budget = new SendBudget();
  const piece = new Piece(new Block(utf8(`{"a":"${"x".repeat(1000)}"}\n`)));
  const queue = wrapped(FRAMES, 500, budget);
  assertEquals(queue.offerPieces([piece]), false);
  assertEquals(budget.bytes, HEAD.length);
});

Deno.test("SendQueue.batch() puts a number into a long frame without a copy of it", () => {
  const budget = new SendBudget();
  const text = `{"event":"${"x".repeat(500_000)}"}\n{"event":"a"}\n`;
  const piece = new Piece(new Block(utf8(text)), 0, text.length, 2);
  const queues = [1, 2, 3].map(() => wrapped(FRAMES, Infinity, budget));
  queues.forEach((queue, i) => queue.offerPieces([piece.numbered(9 + i)]));
  for (const queue of queues) queue.consume(queue.batch().length);
  for (const queue of queues) queue.batch();
  assertLess(budget.bytes, 510_000);
  queues.forEach((queue, i) => {
    const rest = drain(queue);
    const [long, short] = textsOf(concat([utf8(HEAD), rest]));
    assert(long!.startsWith(`{"seq":${9 + i},"event":"xxx`));
    assertEquals(short, `{"seq":${10 + i},"event":"a"}`);
  });
  assertEquals(budget.bytes, 0);
});

Deno.test("SendQueue wraps lines as server-sent events", () => {
  const queue = wrapped(MESSAGES);
  queue.offerPieces([new Piece(new Block(utf8('{"event":"a"}\n')), 0, 14, 1)]);
  queue.append(utf8('{"control":"close","reason":"shutdown"}\n'));
  assertEquals(queue.lines, 2);
  assertEquals(
    textOf(drain(queue)),
    `${HEAD}data: {"event":"a"}\n\ndata: {"control":"close","reason":"shutdown"}\nevent: close\n\n`,
  );
});

type Step =
  | { type: "control"; length: number }
  | { type: "pong"; length: number }
  | { type: "events"; lengths: number[]; isNumbered: boolean; copies: number }
  | { type: "write"; part: number }
  | { type: "cut" }
  | { type: "limit"; window: number }
  | { type: "grant"; bytes: number };

const length = fc.oneof(
  fc.nat(300),
  fc.constantFrom(100, 101, 102, 103, 104, 105, 106, 107, 65_500, 65_520, 140_000),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant("control" as const), length }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("pong" as const), length: fc.nat(125) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("events" as const),
      lengths: fc.array(length, { minLength: 1, maxLength: 20 }),
      isNumbered: fc.boolean(),
      copies: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ type: fc.constant("write" as const), part: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ type: "cut" }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("limit" as const), window: fc.nat(100_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("grant" as const), bytes: fc.nat(50_000) }),
  },
);

/** A queue with what was put into it, and what came out of it. */
class Run {
  readonly budget = new SendBudget();
  readonly queue = wrapped(FRAMES, 5_000_000, this.budget);
  readonly accepted: string[] = [];
  written: Uint8Array[] = [];
  dropped = 0;
  #number = 1;
  #isLimited = false;

  do(step: Step): void {
    const { queue } = this;
    switch (step.type) {
      case "control": {
        const line = `{"control":"${"c".repeat(step.length)}"}`;
        if (queue.offer(utf8(`${line}\n`))) this.accepted.push(line);
        break;
      }
      case "pong":
        queue.appendEncoded(pongFrame(utf8("p".repeat(step.length))));
        break;
      case "events":
        for (let i = 0; i < step.copies; i++) this.#addEvents(step.lengths, step.isNumbered);
        break;
      case "write":
        if (queue.isReady) {
          const batch = queue.batch();
          assertGreater(batch.length, 0);
          const taken = Math.ceil(batch.length * step.part / 1000);
          this.written.push(batch.slice(0, taken));
          queue.consume(taken);
        }
        break;
      case "cut":
        this.dropped += queue.cut().lines;
        break;
      case "limit":
        if (!this.#isLimited) queue.limit(step.window + 1);
        this.#isLimited = true;
        break;
      case "grant":
        queue.grant(step.bytes);
    }
  }

  #addEvents(lengths: readonly number[], isNumbered: boolean): void {
    const lines = lengths.map((length) => ` {"e":"${"x".repeat(length)}"}`);
    const text = `before\n${lines.join("\n")}\nafter\n`;
    const first = isNumbered ? this.#number : 0;
    const piece = new Piece(new Block(utf8(text)), 7, text.length - 6, lines.length, first);
    if (!this.queue.offerPieces([piece])) return;
    for (const line of lines) {
      this.accepted.push(isNumbered ? line.replace("{", `{"seq":${this.#number++},`) : line);
    }
  }
}

Deno.test("SendQueue writes whole frames in order, whatever is cut, numbered or limited", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const run = new Run();
      for (const each of steps) run.do(each);
      run.queue.limit(Infinity);
      const texts = textsOf(concat([...run.written, drain(run.queue)]));
      const lines = texts.filter((text) => !/^\[p*\]$/.test(text));
      assertEquals(run.queue.lines, 0);
      assertEquals(run.budget.bytes, 0);
      assertEquals(lines.length, run.accepted.length - run.dropped);
      let at = -1;
      for (const line of lines) {
        at = run.accepted.indexOf(line, at + 1);
        assert(at >= 0, `${line.slice(0, 40)} was changed, repeated or moved`);
      }
    }),
    { numRuns: fuzzRuns(150) },
  );
});

Deno.test("SendQueue never has more unread than the window and one line", () => {
  const events = fc.array(fc.nat(300), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(
      events,
      fc.integer({ min: 1, max: 5000 }),
      fc.nat(5000),
      (lengths, window, read) => {
        const queue = wrapped();
        queue.limit(window);
        const lines = lengths.map((length) => `{"e":"${"x".repeat(length)}"}\n`);
        const text = lines.join("");
        queue.offerPieces([new Piece(new Block(utf8(text)), 0, text.length, lines.length)]);
        queue.offer(utf8('{"control":"ack"}\n'));
        const sizes = (bytes: Uint8Array) =>
          textsOf(bytes).filter((each) => each.startsWith('{"e"')).map((each) => each.length + 1);
        const first = drain(queue);
        const sent = sizes(first).reduce((sum, size) => sum + size, 0);
        const isAll = sent === text.length;
        assert(isAll || sent >= window, "the window was not used");
        assert(sent - window < (sizes(first).at(-1) ?? 0) || sent === 0, "the window was exceeded");
        assertEquals(queue.grant(read), Math.min(read, sent));
        const second = concat([first, drain(queue)]);
        const total = sizes(second).reduce((sum, size) => sum + size, 0);
        assert(total === text.length || total >= window + Math.min(read, sent));
        queue.limit(Infinity);
        const texts = textsOf(concat([second, drain(queue)]));
        assertEquals(texts.join("\n"), `${text}{"control":"ack"}`);
      },
    ),
    { numRuns: fuzzRuns(300) },
  );
});
