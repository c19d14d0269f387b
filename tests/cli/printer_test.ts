import { assertEquals } from "@std/assert/equals";
import { Output, OutputClosed } from "../../cli/output.ts";
import { AllPrinted, Printer } from "../../cli/printer.ts";
import { until } from "../support/waiting.ts";

const line = (text: string) => new TextEncoder().encode(`${text}\n`);

/** An output whose writes last until they are let go. */
class SlowOutput {
  written: string[] = [];
  #release = Promise.withResolvers<void>();
  readonly output = new Output(async (bytes) => {
    this.written.push(new TextDecoder().decode(bytes));
    await this.#release.promise;
    return bytes.length;
  });

  release(): void {
    this.#release.resolve();
  }
}

Deno.test("Printer.add() writes together what comes together, in order", async () => {
  const slow = new SlowOutput();
  const printer = new Printer(slow.output, { onRoom() {} });
  for (const text of ["a", "b"]) printer.add(line(text));
  await until(() => slow.written.length === 1);
  for (const text of ["c", "d"]) printer.add(line(text));
  slow.release();
  await printer.flush();
  assertEquals(slow.written, ["a\nb\n", "c\nd\n"]);
  assertEquals(printer.ended.aborted, false);
});

Deno.test("Printer.add() says when no more should come, and onRoom() when it may", async () => {
  const slow = new SlowOutput();
  let hasRoom = false;
  const printer = new Printer(slow.output, { onRoom: () => hasRoom = true });
  const large = new Uint8Array(600_000);
  assertEquals([printer.add(large), printer.add(large)], [true, false]);
  slow.release();
  await printer.flush();
  assertEquals(hasRoom, true);
  assertEquals(printer.add(large), true);
  await printer.flush();
});

Deno.test("Printer prints no more lines than asked for, and then ends", async () => {
  const slow = new SlowOutput();
  slow.release();
  const printer = new Printer(slow.output, { count: 2, onRoom() {} });
  for (const text of ["a", "b", "c"]) printer.add(line(text));
  assertEquals(printer.ended.aborted, false);
  await printer.flush();
  assertEquals([slow.written, printer.ended.reason instanceof AllPrinted], [["a\nb\n"], true]);
});

Deno.test("Printer ends when nobody reads what it prints", async () => {
  const output = new Output(() => Promise.reject(new Deno.errors.BrokenPipe()));
  const printer = new Printer(output, { onRoom() {} });
  printer.add(line("a"));
  await printer.flush();
  assertEquals(printer.ended.reason instanceof OutputClosed, true);
  assertEquals(printer.add(line("b")), false);
});
