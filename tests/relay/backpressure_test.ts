import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import {
  Backpressure,
  type BackpressureBounds,
  type BackpressureSink,
} from "../../relay/backpressure.ts";
import { LineConnection } from "../../net/line_connection.ts";
import { LineBlock } from "../../framing.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { pause, until } from "../support/waiting.ts";

/** For how long a reader that takes nothing may hold others up, in milliseconds. */
const MAX_HOLD = 250;

const block = (text: string) => new LineBlock(utf8(text));

/** A publisher: what it sends goes through the backpressure to all readers. */
class Publisher {
  readonly connection = new LineConnection(new FakeDuplex(), ["127.0.0.1", 1]);
  #count = 0;

  constructor(readonly backpressure: Backpressure) {}

  /** Sends a line; gives it. */
  sends(): string {
    const line = `${++this.#count}\n`;
    this.backpressure.deliver(this.connection, block(line));
    return line;
  }
}

function setUp(options: Partial<BackpressureBounds & BackpressureSink> = {}) {
  const passed: string[] = [];
  const readers: LineConnection[] = [];
  /** Readers that hear nothing. */
  const deaf = new Set<LineConnection>();
  const backpressure = new Backpressure({
    pass(_, lines) {
      passed.push(textOf(lines.bytes));
      for (const reader of readers) if (!deaf.has(reader)) backpressure.observe(reader);
    },
    recipientsAmong: (some) => some.filter((reader) => !deaf.has(reader)),
    isRelayAtWork: () => false,
    onRelease: (publisher) => publisher.resume(),
    ...options,
  }, { maxHold: MAX_HOLD, maxParkedBytes: 1000, ...options });

  /** A reader that takes nothing, and for which more than half of the most waits. */
  function lag(): FakeDuplex {
    const duplex = new FakeDuplex();
    const reader = new LineConnection(duplex, ["127.0.0.1", 2]);
    const onClose = () => backpressure.forget(reader);
    reader.start({ onLines() {}, onClose }, { maxPendingBytes: 1000 });
    duplex.writeSize = 0;
    reader.send(utf8("x".repeat(599) + "\n"));
    readers.push(reader);
    backpressure.observe(reader);
    return duplex;
  }

  const abort = () => Promise.all(readers.map((reader) => reader.abort()));
  return { abort, backpressure, deaf, lag, passed, readers };
}

Deno.test("Backpressure passes lines on at once while every reader keeps up", () => {
  const { backpressure, passed } = setUp();
  const publisher = new Publisher(backpressure);
  assertEquals([publisher.sends(), publisher.sends()], passed);
});

Deno.test("Backpressure holds lines until the lagging reader has caught up", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const [one, two] = [new Publisher(backpressure), new Publisher(backpressure)];
  const reader = lag();
  const sent = [one.sends(), two.sends()];
  assertEquals(passed, []);
  reader.take();
  await until(() => passed.length === 2);
  assertEquals(passed, sent);
  await abort();
});

Deno.test("Backpressure passes on one block at a time, and looks again before each", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const [one, two] = [new Publisher(backpressure), new Publisher(backpressure)];
  const first = lag();
  one.sends();
  two.sends();
  let second: FakeDuplex | null = null;
  const { push } = passed;
  // The first block that is passed on makes another reader lag.
  passed.push = (line) => {
    second ??= lag();
    return push.call(passed, line);
  };
  first.take();
  await until(() => passed.length === 1);
  assertEquals(passed.length, 1);
  second!.take();
  await until(() => passed.length === 2);
  await abort();
});

Deno.test("Backpressure looks once at each publisher when many readers go in one turn", async () => {
  let looks = 0;
  const { abort, backpressure, lag, passed, readers: all } = setUp({
    recipientsAmong(some) {
      const readers = [...some];
      readers.some = (test) => {
        looks++;
        return readers.findIndex(test) >= 0;
      };
      return readers;
    },
  });
  for (let i = 0; i < 50; i++) lag();
  for (let i = 0; i < 50; i++) new Publisher(backpressure).sends();
  for (const reader of all) reader.closeSlow("too slow");
  await until(() => passed.length === 50);
  assertLess(looks, 500, "one for each pair");
  await abort();
});

Deno.test("Backpressure yields to other work while it passes on many held lines", async () => {
  let passed = 0;
  let passedBefore = 0;
  const { abort, backpressure, lag } = setUp({
    pass() {
      if (passed++ === 0) setTimeout(() => passedBefore = passed, 0);
      for (const start = performance.now(); performance.now() - start < 1;);
    },
  });
  const reader = lag();
  for (let i = 0; i < 50; i++) new Publisher(backpressure).sends();
  reader.take();
  await until(() => passed === 50);
  await until(() => passedBefore > 0);
  assertLess(passedBefore, 50);
  await abort();
});

Deno.test("Backpressure stops waiting for a reader that takes nothing", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const publisher = new Publisher(backpressure);
  lag();
  publisher.sends();
  assertEquals(passed.length, 0);
  await until(() => passed.length === 1);
  publisher.sends();
  assertEquals(passed.length, 2);
  await abort();
});

Deno.test("Backpressure waits for another relay as long as that is at work", async () => {
  let isAtWork = true;
  const { abort, backpressure, lag, passed } = setUp({
    isRelayAtWork: () => isAtWork,
    maxTotalHold: MAX_HOLD,
  });
  const publisher = new Publisher(backpressure);
  lag();
  const line = publisher.sends();
  await pause(3 * MAX_HOLD);
  assertEquals(passed, []);
  isAtWork = false;
  await until(() => passed.length > 0);
  assertEquals(passed, [line]);
  await abort();
});

Deno.test("Backpressure waits again for a reader that takes something", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const publisher = new Publisher(backpressure);
  const reader = lag();
  publisher.sends();
  await until(() => passed.length === 1);
  reader.takeOnce(1);
  await until(() => {
    const before = passed.length;
    publisher.sends();
    return passed.length === before;
  });
  await abort();
});

Deno.test("Backpressure passes lines on when the lagging reader leaves", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const publisher = new Publisher(backpressure);
  lag();
  const sent = publisher.sends();
  assertEquals(passed, []);
  await abort();
  await until(() => passed.length === 1);
  assertEquals(passed, [sent]);
});

Deno.test("Backpressure passes on the held lines of a publisher that has left", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const publisher = new Publisher(backpressure);
  const reader = lag();
  const sent = publisher.sends();
  await publisher.connection.abort();
  reader.take();
  await until(() => passed.length === 1);
  assertEquals(passed, [sent]);
  await abort();
});

Deno.test("Backpressure.forget() passes lines on later, not within the call", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const publisher = new Publisher(backpressure);
  lag();
  const line = publisher.sends();
  const aborted = abort();
  assertEquals(passed, []);
  await aborted;
  await until(() => passed.length > 0);
  assertEquals(passed, [line]);
});

Deno.test("Backpressure waits only for readers that receive the publisher's events", async () => {
  const { abort, backpressure, deaf, lag, passed, readers } = setUp();
  const publisher = new Publisher(backpressure);
  const loner = lag();
  deaf.add(readers[0]!);
  assertEquals([publisher.sends()], passed);
  // One that hears it begins to lag as well: only that one counts.
  const reader = lag();
  const line = publisher.sends();
  assert(backpressure.isParked(publisher.connection));
  assertEquals(passed.length, 1);
  reader.take();
  await until(() => passed.length === 2);
  assertEquals(passed[1], line);
  assertEquals(loner.written, "");
  await abort();
});

Deno.test("Backpressure lets publishers without a lagging reader overtake those that wait", async () => {
  const waitsFor = new Map<LineConnection, LineConnection[]>();
  const { abort, backpressure, lag, passed, readers } = setUp({
    recipientsAmong: (some, publisher) =>
      some.filter((it) => waitsFor.get(publisher)?.includes(it)),
  });
  const publishers = [1, 2, 3].map(() => new Publisher(backpressure));
  const duplexes = [lag(), lag()];
  waitsFor.set(publishers[0]!.connection, [readers[0]!]);
  waitsFor.set(publishers[1]!.connection, [readers[1]!]);
  for (const publisher of publishers) publisher.sends();
  assertEquals(passed.length, 1);
  duplexes[1]!.take();
  await until(() => passed.length === 2);
  assertEquals(publishers.map(({ connection }) => backpressure.isParked(connection)), [
    true,
    false,
    false,
  ]);
  await abort();
});

Deno.test("Backpressure limits the total wait for a reader, however often it catches up", async () => {
  using clock = new Clock();
  const { abort, backpressure, lag, passed, readers } = setUp({ maxTotalHold: 200 });
  const publisher = new Publisher(backpressure);
  const reader = lag();
  const [connection] = readers;
  // Lets it lag, waits for it while it takes a little now and then, and lets it catch up.
  let holds = 0;
  for (let round = 0; round < 20; round++) {
    const before = passed.length;
    publisher.sends();
    if (passed.length > before) break;
    holds++;
    for (let i = 0; i < 3 && passed.length === before; i++) {
      reader.takeOnce(1);
      await pause(30);
    }
    reader.take();
    await until(() => passed.length > before && connection!.pendingBytes === 0);
    reader.writeSize = 0;
    await pause(30); // Its having caught up is noticed.
    connection!.send(utf8("x".repeat(599) + "\n"));
    backpressure.observe(connection!);
  }
  assertGreater(holds, 0);
  assertLess(holds, 10);
  assertFalse(backpressure.isParked(publisher.connection));
  // It gets a little of it back, by and by.
  clock.advance(60 * 200);
  await until(() => {
    reader.takeOnce(1); // It has taken nothing for long, otherwise.
    publisher.sends();
    return backpressure.isParked(publisher.connection);
  });
  await abort();
});

Deno.test("Backpressure keeps no more than it may", async () => {
  const { abort, backpressure, lag, passed } = setUp({ maxHold: 60_000, maxParkedBytes: 5 });
  const publishers = [1, 2, 3].map(() => new Publisher(backpressure));
  const reader = lag();
  for (const publisher of publishers) publisher.sends(); // two bytes each
  assertEquals(publishers.map(({ connection }) => backpressure.isParked(connection)), [
    true,
    true,
    false,
  ]);
  reader.take();
  await until(() => passed.length === 3);
  await abort();
});
