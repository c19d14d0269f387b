import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertThrows } from "@std/assert/throws";
import { defineEvents, type EventDefinitions } from "../../schema/definitions.ts";
import { SchemaFilter } from "../../relay/schema_filter.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { ASYNCHRONOUS, MESSAGE, schemaOf, THROWING } from "../support/schemas.ts";

function newChecker(): SchemaFilter {
  return new SchemaFilter(defineEvents({
    message: MESSAGE,
    ping: schemaOf((value) => ({ value: value as object })),
    throwing: THROWING,
    asynchronous: ASYNCHRONOUS,
    wordy: schemaOf(() => ({ issues: Array(1000).fill({ message: "😀".repeat(1000) }) })),
  }));
}

function admits(checker: SchemaFilter, line: string): boolean {
  return checker.admits(utf8(line), line.includes("\\"));
}

/** What the sender of `lines` is told: the members of each line. */
function answers(checker: SchemaFilter, ...lines: string[]): Record<string, unknown>[] {
  for (const line of lines) assertFalse(admits(checker, line));
  let text = "";
  const send = (bytes: Uint8Array) => {
    text += textOf(bytes);
    return true;
  };
  checker.answer({ send });
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

Deno.test("SchemaFilter.admits() passes valid events, and reports nothing to their sender", () => {
  const checker = newChecker();
  assert(admits(checker, '{"event":"message","__dict__":{"content":"hi","more":1}}'));
  assert(admits(checker, '{"event":"ping"}\r'));
  assert(admits(checker, '{"\\u0065vent":"message","__dict__":{"c\\u006fntent":"hi"}}'));
  assertEquals(answers(checker), []);
  assertEquals(checker.refused, 0);
});

Deno.test("SchemaFilter without definitions is not needed", () => {
  assertFalse(new SchemaFilter(undefined).isNeeded);
  assert(newChecker().isNeeded);
  const definitions = { message: MESSAGE } as unknown as EventDefinitions;
  assertThrows(() => new SchemaFilter(definitions), TypeError, "Invalid events");
});

Deno.test("SchemaFilter.answer() reports which events are invalid, and why", () => {
  const checker = newChecker();
  const cases: [name: string, detail: string][] = [
    ["message", "content: Expected a string"],
    ["leave", "no event of this name is defined"],
    ["__proto__", "no event of this name is defined"],
    ["throwing", 'Cannot check event "throwing": boom'],
    ["asynchronous", 'Cannot check event "asynchronous": its validator is asynchronous'],
  ];
  assertEquals(
    answers(checker, ...cases.map(([event]) => JSON.stringify({ event }))),
    cases.map(([name, detail]) => ({ control: "error", name, reason: "bad-attributes", detail })),
  );
  assertEquals(answers(checker), []);
  assertEquals(checker.refused, cases.length);
});

Deno.test("SchemaFilter.answer() answers the receipt that was asked for, or the request", () => {
  const lines = [
    '{"event":"x","id":"r1","ack":"e1"}',
    '{"event":"x","id":"r1"}',
    '{"event":"x","to":"c1","reply_to":"r1","from":5}',
  ];
  assertEquals(answers(newChecker(), ...lines).map(({ id }) => id), ["e1", "r1", undefined]);
});

Deno.test("SchemaFilter.answer() cuts details to the length that a client shows", () => {
  const [answer] = answers(newChecker(), '{"event":"wordy"}');
  const detail = answer!.detail as string;
  assertEquals(detail.length, 320);
  assert(detail.isWellFormed());
});
