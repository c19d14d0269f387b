import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { Output, OutputClosed, OutputFailed } from "../../cli/stdio.ts";
import { textOf, utf8 } from "../support/bytes.ts";

Deno.test("Output.write() writes everything in order, also in partial writes", async () => {
  let written = "";
  const output = new Output((bytes) => {
    written += textOf(bytes.subarray(0, 2));
    return Promise.resolve(Math.min(2, bytes.length));
  });
  output.write("first ");
  output.write(utf8("second "));
  await output.write("third");
  assertEquals(written, "first second third");
});

Deno.test("Output.write() rejects with OutputClosed without a reader, now and later", async () => {
  let isOpen = true;
  const output = new Output((bytes) => {
    if (!isOpen) return Promise.reject(new Deno.errors.BrokenPipe());
    return Promise.resolve(bytes.length);
  });
  await output.write("read");
  isOpen = false;
  await assertRejects(() => output.write("lost"), OutputClosed);
  isOpen = true;
  await assertRejects(() => output.write("lost too"), OutputClosed);
});

Deno.test("Output.write() rejects with the cause if the output fails", async () => {
  const output = new Output(() => Promise.reject(new Error("The disk is full")));
  await assertRejects(
    () => output.write("x"),
    OutputFailed,
    "Cannot write to standard output: The disk is full",
  );
});

Deno.test("Output.write() writes what comes during a write together", async () => {
  const writes: string[] = [];
  const output = new Output((bytes) => {
    writes.push(textOf(bytes));
    return Promise.resolve(bytes.length);
  });
  const first = output.write("a");
  output.write("b");
  await first;
  const second = output.write("c");
  await Promise.resolve(); // It is under way.
  output.write("d");
  const last = output.write("e");
  await second;
  await last;
  assertEquals(writes, ["ab", "c", "de"]);
});
