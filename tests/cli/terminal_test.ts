import { assertEquals } from "@std/assert/equals";
import { sizeOfTerminal } from "../../cli/terminal.ts";

Deno.test("sizeOfTerminal() knows a size in any case", () => {
  const { columns, rows } = sizeOfTerminal();
  assertEquals([columns > 0, rows > 0], [true, true]);
});
