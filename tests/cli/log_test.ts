import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { Log, type LogOptions } from "../../cli/log.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { until } from "../support/waiting.ts";

function setUp(options?: LogOptions) {
  const output = new FakeDuplex();
  return { output, log: new Log((bytes) => output.write(bytes), options) };
}

Deno.test("Log.add() writes lines in order, also in partial writes", async () => {
  const { output, log } = setUp();
  output.writeSize = 3;
  log.add("one");
  log.add("twö");
  await log.flush(30_000);
  assertEquals(output.writes.reduce((sum, size) => sum + size), 9);
  output.writeSize = Infinity;
  log.add("three");
  await log.flush(30_000);
  assert(output.written.endsWith("three\n"));
});

Deno.test("Log.add() drops lines beyond its bound, and counts them", async () => {
  const { output, log } = setUp();
  output.writeSize = 0;
  log.add("first");
  const line = "x".repeat(99_999);
  for (let i = 0; i < 20; i++) log.add(line);
  output.take();
  await log.flush(30_000);
  log.add("last");
  await log.flush(30_000);
  const lines = output.written.trimEnd().split("\n");
  assertEquals(lines.filter((each) => each === line).length, 10);
  assertEquals(lines.filter((each) => each !== line), [
    "first",
    "10 log lines were lost",
    "last",
  ]);
});

Deno.test("Log.flush() waits no longer than its time-out", async () => {
  const { output, log } = setUp();
  output.writeSize = 0;
  log.add("one");
  await log.flush(5);
  assertEquals(output.written, "");
  output.take();
  await log.flush(30_000);
  assertEquals(output.written, "one\n");
});

Deno.test("Log stops when its reader has gone", async () => {
  const { output, log } = setUp();
  output.failWrites(new Deno.errors.BrokenPipe("gone"));
  log.add("one");
  await log.flush(30_000);
  output.failWrites(null);
  log.add("two");
  await log.flush(30_000);
  assertEquals(output.writes, []);
});

Deno.test("Log.add() hands over whole lines, and not many at once", async () => {
  const { output, log } = setUp();
  const lines = Array.from(
    { length: 1000 },
    (_, i) => `${i} ${"x".repeat(i % 7 === 0 ? 5000 : 50)}`,
  );
  for (const line of lines) log.add(line);
  await log.flush(30_000);
  assertEquals(output.written, `${lines.join("\n")}\n`);
  assert(output.writes.every((size) => size <= 4096 || size > 5000 && size < 5100));
  assertLess(output.writes.length, 1000);
});

Deno.test("Log tries again after a failed write, and then writes all that waited, in order", async () => {
  const { output, log } = setUp({ retryAfter: 1 });
  output.writeSize = 4;
  log.add("one");
  await log.flush(30_000);
  let tries = 0;
  const isTriedAgain = Promise.withResolvers<void>();
  output.failWrites(diskFull(), () => ++tries === 3 && isTriedAgain.resolve());
  log.add("two");
  log.add("three");
  await isTriedAgain.promise;
  assertEquals(output.written, "one\n");
  output.failWrites(null);
  await log.flush(30_000);
  assertEquals(output.written, "one\n\ntwo\nthree\n");
});

Deno.test("Log begins a line again where a write failed in its middle", async () => {
  const { output, log } = setUp({ retryAfter: 1 });
  output.writeSize = 0;
  log.add("one");
  log.add("two");
  output.takeOnce(2);
  await until(() => output.written === "on");
  const hasFailed = Promise.withResolvers<void>();
  output.failWrites(diskFull(), hasFailed.resolve);
  await hasFailed.promise;
  output.writeSize = Infinity;
  output.failWrites(null);
  await log.flush(30_000);
  assertEquals(output.written, "on\none\ntwo\n");
});

Deno.test("Log keeps no more than its bound while it cannot write, and reports losses later", async () => {
  const { output, log } = setUp({
    retryAfter: 1,
    describeLoss: (lines) => `{"lost":${lines}}`,
  });
  output.failWrites(diskFull());
  const line = "x".repeat(9_999);
  for (let i = 0; i < 1000; i++) log.add(line);
  log.add("y".repeat(9_999));
  output.failWrites(null);
  await log.flush(30_000);
  const lines = output.written.trim().split("\n");
  const kept = lines.filter((each) => each === line).length;
  assertEquals(lines.length, kept + 1);
  assertEquals(lines.at(-1), `{"lost":${1001 - kept}}`);
  assertLess(output.written.length, 1.1 * 1_048_576);
});

Deno.test("Log waits between tries, and sets no timer while writes succeed", async () => {
  const { output, log } = setUp({ retryAfter: 2 ** 31 - 1 });
  let tries = 0;
  output.failWrites(diskFull(), () => tries++);
  log.add("one");
  await log.flush(5);
  // The first try, and one more because of the flush.
  assertLessOrEqual(tries, 2);
  assertEquals(output.written, "");
  output.failWrites(null);
  await log.flush(30_000);
  assertEquals(output.written, "\none\n");
});

function diskFull(): Error {
  return new Error("No space left on device (os error 28)");
}
