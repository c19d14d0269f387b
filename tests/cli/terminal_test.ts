import { assertEquals } from "@std/assert/equals";
import { columnsOfTerminal, isColored, paint, sizeOfTerminal } from "../../cli/terminal.ts";

Deno.test("paint() puts codes around text, or leaves it as it is", () => {
  assertEquals(paint(true).bold("x"), "\x1b[1mx\x1b[22m");
  assertEquals(paint(true).red("x"), "\x1b[31mx\x1b[39m");
  const plain = paint(false);
  for (const style of [plain.bold, plain.dim, plain.red, plain.green, plain.yellow, plain.cyan]) {
    assertEquals(style("x"), "x");
  }
});

Deno.test("isColored() heeds NO_COLOR", () => {
  assertEquals(isColored("stdout"), Deno.stdout.isTerminal() && !Deno.noColor);
});

Deno.test("columnsOfTerminal() knows a width in any case", () => {
  assertEquals(columnsOfTerminal() > 0, true);
});

Deno.test("sizeOfTerminal() knows a size in any case", () => {
  const { columns, rows } = sizeOfTerminal();
  assertEquals([columns > 0, rows > 0], [true, true]);
});
