import { assertEquals } from "@std/assert/equals";
import { EventChecker } from "../checker.ts";
import { defineEvents } from "../define.ts";
import { refusalOf } from "../line_checker.ts";
import type { Refusal } from "../routing.ts";
import { ASYNCHRONOUS, MESSAGE, schemaOf, THROWING } from "./support/schemas.ts";

const CHECKER = new EventChecker(defineEvents({
  message: MESSAGE,
  ping: schemaOf((value) => ({ value: value as object })),
  throwing: THROWING,
  asynchronous: ASYNCHRONOUS,
  wordy: schemaOf(() => ({ issues: Array(1000).fill({ message: "😀".repeat(1000) }) })),
}));

function refuse(line: string, checker = CHECKER): Refusal | null {
  return refusalOf(checker, new TextEncoder().encode(line), line.includes("\\"));
}

Deno.test("refusalOf() says nothing of an event that fits", () => {
  assertEquals(refuse('{"event":"message","__dict__":{"content":"hi","more":1}}'), null);
  assertEquals(refuse('{"event":"ping"}\r\n'), null);
  assertEquals(refuse('{"\\u0065vent":"message","__dict__":{"c\\u006fntent":"hi"}}'), null);
  assertEquals(refuse('{"event":"anything"}', new EventChecker(undefined)), null);
});

Deno.test("refusalOf() says which event does not fit, and why", () => {
  const reason = "bad-attributes";
  assertEquals(refuse('{"event":"message","__dict__":{"content":1}}'), {
    event: "message",
    reason,
    detail: "content: Expected a string",
  });
  const cases: [name: string, detail: string][] = [
    ["leave", "no event of this name is defined"],
    ["__proto__", "no event of this name is defined"],
    ["throwing", 'Cannot check event "throwing": boom'],
    ["asynchronous", 'Cannot check event "asynchronous": its validator is asynchronous'],
  ];
  for (const [event, detail] of cases) {
    assertEquals(refuse(JSON.stringify({ event })), { event, reason, detail });
  }
});

Deno.test("refusalOf() answers the receipt that was asked for, or the request", () => {
  assertEquals(refuse('{"event":"x","id":"r1","ack":"e1"}')?.id, "e1");
  assertEquals(refuse('{"event":"x","id":"r1"}')?.id, "r1");
  assertEquals(refuse('{"event":"x","to":"c1","reply_to":"r1","from":5}')?.id, undefined);
});

Deno.test("refusalOf() says no more than a client shows", () => {
  const { detail } = refuse('{"event":"wordy"}')!;
  assertEquals([detail.length, detail.isWellFormed()], [320, true]);
});
