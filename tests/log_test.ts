import { assertEquals } from "@std/assert/equals";
import { Log } from "../log.ts";
import { FakeDuplex } from "./support/duplex.ts";

function setUp() {
  const output = new FakeDuplex();
  return { output, log: new Log((bytes) => output.write(bytes)) };
}

Deno.test("Log.add() writes lines in order, whatever part of them a write takes", async () => {
  const { output, log } = setUp();
  output.writeSize = 3;
  log.add("one");
  log.add("twö");
  await log.flush(30_000);
  assertEquals(output.writes.reduce((sum, size) => sum + size), 9);
  output.writeSize = Infinity;
  log.add("three");
  await log.flush(30_000);
  assertEquals(output.written.endsWith("three\n"), true);
});

Deno.test("Log.add() drops what would wait beyond its bound, and says how much", async () => {
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
    "10 log lines were dropped: nobody read them",
    "last",
  ]);
});

Deno.test("Log.flush() waits no longer than it is told", async () => {
  const { output, log } = setUp();
  output.writeSize = 0;
  log.add("one");
  await log.flush(5);
  assertEquals(output.written, "");
  output.take();
  await log.flush(30_000);
  assertEquals(output.written, "one\n");
});

Deno.test("Log gives up when its reader has gone", async () => {
  const { output, log } = setUp();
  output.failWrites(new Deno.errors.BrokenPipe("gone"));
  log.add("one");
  await log.flush(30_000);
  output.failWrites(null as unknown as Error);
  log.add("two");
  await log.flush(30_000);
  assertEquals(output.writes, []);
});
