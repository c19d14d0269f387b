import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { Output, OutputClosed, OutputFailed } from "../../cli/output.ts";

Deno.test("Output.write() writes all, in order, however little is taken at once", async () => {
  let written = "";
  const output = new Output((bytes) => {
    written += new TextDecoder().decode(bytes.subarray(0, 2));
    return Promise.resolve(Math.min(2, bytes.length));
  });
  output.write("first ");
  output.write(new TextEncoder().encode("second "));
  await output.write("third");
  assertEquals(written, "first second third");
});

Deno.test("Output.write() says that nobody reads any more, now and later", async () => {
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

Deno.test("Output.write() says why the output takes no more", async () => {
  const output = new Output(() => Promise.reject(new Error("The disk is full")));
  await assertRejects(
    () => output.write("x"),
    OutputFailed,
    "Cannot write to standard output: The disk is full",
  );
});
