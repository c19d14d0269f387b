import { assertEquals } from "@std/assert/equals";
import { columnsOfTerminal, sizeOfTerminal } from "../../cli/terminal.ts";

Deno.test("columnsOfTerminal() knows a width in any case", () => {
  assertEquals(columnsOfTerminal() > 0, true);
});

Deno.test("sizeOfTerminal() knows a size in any case", () => {
  const { columns, rows } = sizeOfTerminal();
  assertEquals([columns > 0, rows > 0], [true, true]);
});
