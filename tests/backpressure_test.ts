import { assertEquals } from "@std/assert/equals";
import { Backpressure } from "../backpressure.ts";
import { EbsocketConnection } from "../connection.ts";
import { LineBlock } from "../framing.ts";
import { FakeDuplex } from "./support/duplex.ts";
import { until } from "./support/waiting.ts";

/** For how long a reader that takes nothing may hold others up, in milliseconds. */
const MAX_HOLD = 250;

const block = (text: string) => new LineBlock(new TextEncoder().encode(text));

/** A publisher: what it sends goes through the backpressure to all readers. */
class Publisher {
  readonly connection = new EbsocketConnection(new FakeDuplex(), ["127.0.0.1", 1]);
  #count = 0;

  constructor(readonly backpressure: Backpressure) {}

  /** Sends a line; gives it. */
  sends(): string {
    const line = `${++this.#count}\n`;
    this.backpressure.deliver(this.connection, block(line));
    return line;
  }
}

function setUp() {
  const passed: string[] = [];
  const readers: EbsocketConnection[] = [];
  const backpressure = new Backpressure(MAX_HOLD, (_, lines) => {
    passed.push(new TextDecoder().decode(lines.bytes));
    for (const reader of readers) backpressure.observe(reader);
  }, (publisher) => publisher.resume());

  /** A reader that takes nothing, and for which more than half of the most waits. */
  function lag(): FakeDuplex {
    const duplex = new FakeDuplex();
    const reader = new EbsocketConnection(duplex, ["127.0.0.1", 2]);
    const onClose = () => backpressure.forget(reader);
    reader.start({ onLines() {}, onClose }, { maxPendingBytes: 1000 });
    duplex.writeSize = 0;
    reader.send(new TextEncoder().encode("x".repeat(599) + "\n"));
    readers.push(reader);
    backpressure.observe(reader);
    return duplex;
  }

  const abort = () => Promise.all(readers.map((reader) => reader.abort()));
  return { abort, backpressure, lag, passed };
}

Deno.test("Backpressure passes lines on at once while every reader keeps up", () => {
  const { backpressure, passed } = setUp();
  const publisher = new Publisher(backpressure);
  assertEquals([publisher.sends(), publisher.sends()], passed);
});

Deno.test("Backpressure keeps lines until the reader that lags has caught up", async () => {
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

Deno.test("Backpressure waits no longer for a reader that takes nothing", async () => {
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

Deno.test("Backpressure waits again for a reader that has begun to take something", async () => {
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

Deno.test("Backpressure passes lines on when the reader that lags has gone", async () => {
  const { abort, backpressure, lag, passed } = setUp();
  const publisher = new Publisher(backpressure);
  lag();
  const sent = publisher.sends();
  assertEquals(passed, []);
  await abort();
  await until(() => passed.length === 1);
  assertEquals(passed, [sent]);
});

Deno.test("Backpressure passes on what a publisher sent that has gone meanwhile", async () => {
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

Deno.test("Backpressure.forget() lets whoever has closed the reader finish first", async () => {
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
