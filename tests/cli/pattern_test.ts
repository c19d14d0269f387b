import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import { adviseOnPattern } from "../../cli/pattern.ts";

Deno.test("adviseOnPattern() has nothing to say about names and patterns", () => {
  for (const pattern of ["chat", "chat.*", "*.chat", "chat.>", ">", "*", "a..*"]) {
    assertEquals(adviseOnPattern(pattern), null);
  }
});

Deno.test("adviseOnPattern() tells of a wildcard that is part of a name", () => {
  const note = (pattern: string, sign: string) =>
    `Note: in "${pattern}", ${sign} is part of a name; it is a wildcard only as a token by itself, as ` +
    `in "chat.${sign}"`;
  for (const pattern of ["ch*", "chat.*x", "**", "a*.>"]) {
    assertEquals(adviseOnPattern(pattern), note(pattern, "*"));
  }
  for (const pattern of ["chat>", "chat.a>", "*.>>"]) {
    assertEquals(adviseOnPattern(pattern), note(pattern, ">"));
  }
});

Deno.test("adviseOnPattern() throws what is wrong with a pattern", () => {
  assertThrows(() => adviseOnPattern("a.>.b"), UsageError, '"a.>.b" is no name or pattern: ');
  assertThrows(() => adviseOnPattern(""), UsageError, "expected 1 to 255 bytes, got 0");
});
