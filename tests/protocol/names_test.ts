import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { checkName, isName } from "../../protocol/names.ts";

Deno.test("checkName() returns a valid name, and says what is wrong with any other", () => {
  assertEquals(checkName("é".repeat(127), "to"), "é".repeat(127));
  const number = 7 as unknown as string;
  assertThrows(() => checkName(number, "to"), TypeError, "Invalid to: expected a string, got 7");
  assertThrows(() => checkName("", "queue"), RangeError, 'Invalid queue "": expected 1 to 255');
  assertThrows(() => checkName("é".repeat(128), "to"), RangeError, "got 256");
  assertThrows(() => checkName(""), RangeError, "Invalid event name");
});

Deno.test("isName() counts bytes of UTF-8, not characters", () => {
  const names = ["a", "a".repeat(255), "é".repeat(127), "€".repeat(85)];
  assertEquals(names.filter((name) => !isName(name)), []);
  const others = ["", "a".repeat(256), "é".repeat(128), "€".repeat(86), 7, null, undefined];
  assertEquals(others.filter(isName), []);
});
