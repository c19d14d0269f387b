import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { refuseUnknown, toChoice, toFolder, toInteger, UsageError } from "./command.ts";

Deno.test("toInteger() accepts decimal integers from 1 to a maximum", () => {
  assertEquals(toInteger("--n", "1", 10), 1);
  assertEquals(toInteger("--n", "10", 10), 10);
  for (const text of ["0", "11", "-1", "1.5", "1e1", "", " 1", "x"]) {
    assertThrows(
      () => toInteger("--n", text, 10),
      UsageError,
      "--n must be an integer from 1 to 10",
    );
  }
});

Deno.test("toChoice() keeps the order of the choices, and refuses unknown ones", () => {
  const all = [{ name: "a" }, { name: "b" }, { name: "c" }];
  assertEquals(toChoice("--x", "c,a", all), [{ name: "a" }, { name: "c" }]);
  assertEquals(toChoice("--x", undefined, all), all);
  assertThrows(() => toChoice("--x", "a,d", all), UsageError, 'some of a, b, c, not "d"');
});

Deno.test("toFolder() and refuseUnknown() name the refused argument", () => {
  assertThrows(() => toFolder("--compare", "/no/such/folder"), UsageError, "/no/such/folder");
  assertThrows(() => refuseUnknown("x"), UsageError, 'Unknown argument "x"');
  assertThrows(() => refuseUnknown("--x", "x"), UsageError, 'Unknown option "--x"');
});
