import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertInstanceOf } from "@std/assert/instance-of";
import { Output, OutputClosed } from "../../cli/output.ts";
import { AllPrinted, Printer } from "../../cli/printer.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { until } from "../support/waiting.ts";

const line = (text: string) => utf8(`${text}\n`);

/** An output whose writes last until they are let go. */
class SlowOutput {
  written: string[] = [];
  #release = Promise.withResolvers<void>();
  readonly output = new Output(async (bytes) => {
    this.written.push(textOf(bytes));
    await this.#release.promise;
    return bytes.length;
  });

  release(): void {
    this.#release.resolve();
  }
}

Deno.test("Printer.add() writes the lines of one turn together, in order", async () => {
  const slow = new SlowOutput();
  const printer = new Printer(slow.output, { onRoom() {} });
  for (const text of ["a", "b"]) printer.add(line(text));
  await until(() => slow.written.length === 1);
  for (const text of ["c", "d"]) printer.add(line(text));
  slow.release();
  await printer.flush();
  assertEquals(slow.written, ["a\nb\n", "c\nd\n"]);
  assertFalse(printer.ended.aborted);
});

Deno.test("Printer.add() returns false when it is full, and calls onRoom() when it is not", async () => {
  const slow = new SlowOutput();
  let hasRoom = false;
  const printer = new Printer(slow.output, { onRoom: () => hasRoom = true });
  const large = new Uint8Array(600_000);
  assert(printer.add(large));
  assertFalse(printer.add(large));
  slow.release();
  await printer.flush();
  assert(hasRoom);
  assert(printer.add(large));
  await printer.flush();
});

Deno.test("Printer prints no more lines than asked for, and then ends", async () => {
  const slow = new SlowOutput();
  slow.release();
  const printer = new Printer(slow.output, { count: 2, onRoom() {} });
  for (const text of ["a", "b", "c"]) printer.add(line(text));
  assertFalse(printer.ended.aborted);
  await printer.flush();
  assertEquals(slow.written, ["a\nb\n"]);
  assertInstanceOf(printer.ended.reason, AllPrinted);
});

Deno.test("Printer ends when its output has no reader", async () => {
  const output = new Output(() => Promise.reject(new Deno.errors.BrokenPipe()));
  const printer = new Printer(output, { onRoom() {} });
  printer.add(line("a"));
  await printer.flush();
  assertInstanceOf(printer.ended.reason, OutputClosed);
  assertFalse(printer.add(line("b")));
});
