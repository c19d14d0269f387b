import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import { keepNote, nameNote, patternNote } from "../../cli/pattern.ts";

Deno.test("patternNote() has no hint for valid names and patterns", () => {
  for (const pattern of ["chat", "chat.*", "*.chat", "chat.>", ">", "*", "a..*"]) {
    assertStrictEquals(patternNote(pattern), null);
  }
});

Deno.test("patternNote() warns of a wildcard that is part of a name", () => {
  const note = (pattern: string, sign: string) =>
    `Note: in "${pattern}", ${sign} is part of a name; it is a wildcard only as a whole token, such ` +
    `as "chat.${sign}"`;
  for (const pattern of ["ch*", "chat.*x", "**", "a*.>"]) {
    assertEquals(patternNote(pattern), note(pattern, "*"));
  }
  for (const pattern of ["chat>", "chat.a>", "*.>>"]) {
    assertEquals(patternNote(pattern), note(pattern, ">"));
  }
});

Deno.test("patternNote() warns of the wildcards of MQTT and AMQP, and suggests ours", () => {
  const cases = {
    "chat/#": "chat.>",
    "chat.#": "chat.>",
    "+/b": "*.b",
    "#": ">",
    "a.#.b": "chat.>",
  };
  for (const [pattern, meant] of Object.entries(cases)) {
    assertEquals(
      patternNote(pattern),
      `Note: "${pattern}" is the name of one event; * matches one token between dots, and > at ` +
        `the end matches the rest, such as "${meant}"`,
    );
  }
  for (const name of ["a/b", "c#", "a+b", "c++"]) assertStrictEquals(patternNote(name), null);
});

Deno.test("nameNote() warns that an event is not sent to a pattern", () => {
  for (const name of ["chat.*", ">", "a.>.b"]) {
    assertEquals(
      nameNote(name),
      `Note: "${name}" is the name of one event; wildcards only work in patterns`,
    );
  }
  for (const name of ["chat", "a*", "a>"]) assertStrictEquals(nameNote(name), null);
});

Deno.test("patternNote() throws with the fault of a pattern", () => {
  assertThrows(() => patternNote("a.>.b"), UsageError, '"a.>.b" is not a name or pattern: ');
  assertThrows(() => patternNote(""), UsageError, "expected 1 to 255 bytes, got 0");
});

Deno.test("keepNote() names the option, and what the pattern probably does not mean", () => {
  const several = "a comma or space is part of a name; for several patterns, write";
  const empty = "a token is empty, so it matches only names with an empty one there";
  const cases: [pattern: string, note: string][] = [
    ["a,b", `in "a,b", ${several} --keep a --keep b`],
    ["a.> b.*", `in "a.> b.*", ${several} --keep 'a.>' --keep 'b.*'`],
    ["a ", 'in "a ", a comma or space is part of a name'],
    ["a..b", `in "a..b", ${empty}`],
    ["a.", `in "a.", ${empty}`],
    [".*", `in ".*", ${empty}`],
  ];
  for (const [pattern, note] of cases) {
    assertEquals(keepNote("--keep", pattern), `Note: --keep: ${note}`);
  }
  const expected = 'Note: --keep-last: in "a.b*", * is part of a name; it is a wildcard only as';
  assertEquals(keepNote("--keep-last", "a.b*")?.startsWith(expected), true);
  for (const pattern of [">", "chat.>", "a.*.b", "c++"]) {
    assertStrictEquals(keepNote("--keep", pattern), null);
  }
});
