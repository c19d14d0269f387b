import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { Writer } from "../../net/writer.ts";
import { utf8 } from "../support/bytes.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { turn } from "../support/turns.ts";
import { until } from "../support/waiting.ts";

function setUp(maxBytes = 1000) {
  const duplex = new FakeDuplex();
  const idle: unknown[] = [];
  const writer = new Writer(duplex, maxBytes, idle, (idle, error) => idle.push(error));
  return { duplex, idle, writer };
}

Deno.test("Writer.offer() writes the lines of one turn in one piece", async () => {
  const { duplex, writer } = setUp();
  writer.offer(utf8("a\n"));
  writer.offer(utf8("b\n"));
  assertEquals(duplex.writes, []);
  assert(await writer.flush());
  assertEquals(duplex.written, "a\nb\n");
  assertEquals(duplex.writes, [4]);
});

Deno.test("Writer.offer() goes on where a partial write stopped", async () => {
  const { duplex, writer } = setUp();
  duplex.writeSize = 3;
  writer.offer(utf8("0123456789\n"));
  writer.offer(utf8("abc\n"));
  assert(await writer.flush());
  assertEquals(duplex.written, "0123456789\nabc\n");
  assertEquals(writer.bytesWritten, 15);
});

Deno.test("Writer.offer() writes in the next turn if earlier writes have taken all of this one", async () => {
  const slow = setUp();
  const next = setUp();
  const { write } = slow.duplex;
  slow.duplex.write = (bytes) => {
    for (const end = performance.now() + 10; performance.now() < end;);
    return write.call(slow.duplex, bytes);
  };
  slow.writer.offer(utf8("a\n"));
  next.writer.offer(utf8("b\n"));
  await null;
  assertEquals(slow.duplex.written, "a\n");
  assertEquals(next.duplex.written, "");
  await turn();
  assertEquals(next.duplex.written, "b\n");
});

Deno.test("Writer.offer() refuses what exceeds the bound", async () => {
  const { duplex, writer } = setUp(10);
  assert(writer.offer(utf8("123456\n")));
  assertFalse(writer.offer(utf8("123\n")));
  await writer.flush();
  assertEquals(duplex.written, "123456\n");
});

Deno.test("Writer.room() is null below half of the bound and resolves at a quarter", async () => {
  const { duplex, writer } = setUp(100);
  duplex.writeSize = 0;
  writer.offer(utf8("x".repeat(49) + "\n"));
  assertStrictEquals(writer.room(), null);
  writer.offer(utf8("\n"));
  const room = writer.room();
  assertStrictEquals(room, writer.room());
  let pending = -1;
  const seen = room!.then(() => pending = writer.pendingBytes);
  duplex.take(13);
  await seen;
  assertLessOrEqual(pending, 25);
  assertGreater(pending, 0);
  await writer.flush();
});

Deno.test("Writer.flush() waits for the lines queued before, not for later ones", async () => {
  const { duplex, writer } = setUp(1_000_000);
  duplex.writeSize = 0;
  writer.offer(utf8("first\n"));
  const flushed = writer.flush();
  await Promise.resolve();
  writer.offer(utf8("x".repeat(70_000) + "\n"));
  const states: number[] = [];
  flushed.then(() => states.push(writer.pendingBytes));
  duplex.take();
  await flushed;
  assertEquals(states, [70_001]);
  await writer.flush();
});

Deno.test("Writer reports a failed write once, and ends all waits", async () => {
  const { duplex, idle, writer } = setUp(10);
  duplex.writeSize = 0;
  writer.offer(utf8("1234567\n"));
  const flushed = writer.flush();
  const room = writer.room();
  const error = new Deno.errors.BrokenPipe("gone");
  duplex.failWrites(error);
  assertFalse(await flushed);
  await room;
  assertStrictEquals(writer.room(), null);
  assertEquals(idle, [error]);
  assertEquals(writer.unsent(), { lines: 1, bytes: 8 });
});

Deno.test("Writer.cut() keeps the line being written, and counts the others as unsent", async () => {
  const { duplex, writer } = setUp();
  duplex.writeSize = 0;
  writer.offer(utf8("one\n"));
  await Promise.resolve();
  writer.offer(utf8("two\nthree\n"));
  writer.cut();
  writer.append(utf8("bye\n"));
  duplex.take(2);
  await until(() => !writer.busy);
  assertEquals(duplex.written, "one\nbye\n");
  assertEquals(writer.unsent(), { lines: 2, bytes: 10 });
});

Deno.test("Writer.cork() adds the lines of the next microtasks to the same write", async () => {
  // Where this process has to pause just then, it does not wait: hence several times.
  for (let writes: number[] = [], rounds = 100; writes.length !== 1; rounds--) {
    assertGreater(rounds, 0, `the last writes were ${writes}`);
    const { duplex, writer } = setUp();
    writer.cork();
    for (const line of ["a\n", "b\n", "c\n"]) {
      writer.offer(utf8(line));
      for (let i = 0; i < 4; i++) await Promise.resolve();
    }
    assert(await writer.flush());
    assertEquals(duplex.written, "a\nb\nc\n");
    writes = duplex.writes;
  }
});

Deno.test("Writer.cork() does not wait for an endless loop, nor once it has enough", async () => {
  const { duplex, writer } = setUp(1_000_000);
  writer.cork();
  const end = performance.now() + 10_000;
  while (duplex.writes.length === 0 && performance.now() < end) {
    if (writer.pendingBytes < 1000) writer.offer(utf8("a\n"));
    else writer.cut();
    await Promise.resolve();
  }
  assertEquals(duplex.writes.length, 1);
  await writer.flush();

  writer.cork();
  writer.offer(utf8("x".repeat(131_071) + "\n"));
  for (let i = 0; i < 6; i++) await Promise.resolve();
  assertEquals(duplex.writes.at(-1), 131_072);
});

Deno.test("Writer.cork() writes nothing if all lines have been dropped meanwhile", async () => {
  const { duplex, idle, writer } = setUp();
  writer.cork();
  writer.offer(utf8("a\n"));
  await Promise.resolve();
  writer.cut();
  await until(() => !writer.busy);
  assertEquals(duplex.writes, []);
  assertEquals(idle, [undefined]);
});

Deno.test("Writer.stop() writes nothing more", async () => {
  const { duplex, idle, writer } = setUp();
  writer.offer(utf8("a\n"));
  writer.stop();
  assertFalse(await writer.flush());
  assertEquals(duplex.writes, []);
  assertEquals(idle, [undefined]);
});
