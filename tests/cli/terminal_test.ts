import { assertGreater } from "@std/assert/greater";
import { sizeOfTerminal } from "../../cli/terminal.ts";

Deno.test("sizeOfTerminal() always returns a size", () => {
  const { columns, rows } = sizeOfTerminal();
  assertGreater(columns, 0);
  assertGreater(rows, 0);
});
