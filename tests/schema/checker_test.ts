import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { EventChecker, isDefinitions } from "../../schema/checker.ts";
import { encodeLine } from "../../protocol/encoder.ts";
import { defineEvents, type EventDefinitions } from "../../schema/definitions.ts";
import { EventSchemaError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { ASYNCHRONOUS, MESSAGE, schemaOf, THROWING } from "../support/schemas.ts";

const checker = new EventChecker(
  defineEvents({
    message: MESSAGE,
    shout: schemaOf(() => ({ value: { content: "HI" } })),
    throwing: THROWING,
    asynchronous: ASYNCHRONOUS,
  }),
);

/** Checks an event that is to be sent. */
function check(event: EbsocketEvent<string, object>): void {
  checker.checkSent(event, encodeLine(event.event, event.__dict__));
}

Deno.test("EventChecker without definitions accepts every event", () => {
  const free = new EventChecker(undefined);
  const event = new EbsocketEvent("anything", { a: 1 });
  free.checkSent(event, encodeLine(event.event, event.__dict__));
  assertStrictEquals(free.takeReceived(event), null);
  assertEquals(event.__dict__, { a: 1 });
});

Deno.test("EventChecker throws for a value that is not definitions", () => {
  const { message } = assertThrows(
    () => new EventChecker({ message: MESSAGE } as unknown as EventDefinitions),
    TypeError,
  );
  assert(message.startsWith("Invalid events: expected what defineEvents() gives, got {"));
});

Deno.test("EventChecker.checkSent() leaves an event that fits as it is", () => {
  const event = new EbsocketEvent("shout", { content: "hi" });
  check(event);
  assertEquals(event.__dict__, { content: "hi" });
});

Deno.test("EventChecker.checkSent() checks the values that will arrive", () => {
  const seen: unknown[] = [];
  const watching = new EventChecker(defineEvents({
    saved: schemaOf((value) => {
      seen.push(value);
      return { value: value as object };
    }),
  }));
  const when = new Date(0);
  const event = new EbsocketEvent("saved", { when, by: undefined, "a\nb": { c: undefined } });
  watching.checkSent(event, encodeLine(event.event, event.__dict__));
  assertEquals(seen, [{ when: "1970-01-01T00:00:00.000Z", "a\nb": {} }]);
  assertEquals(Object.keys(seen[0] as object), ["when", "a\nb"]);
  assertStrictEquals(event.__dict__.when, when);
});

Deno.test("EventChecker.checkSent() throws where an event does not fit", () => {
  const error = assertThrows(
    () => check(new EbsocketEvent("message", { content: 1 })),
    EventSchemaError,
  );
  assertEquals(error.message, "Cannot send EbsocketEvent<message>: content: Expected a string");
  assertEquals(error.code, "bad-attributes");
  assertEquals(error.event, "message");
  assertEquals(error.issues, ["content: Expected a string"]);
  assertThrows(
    () => check(new EbsocketEvent("leave")),
    EventSchemaError,
    "Cannot send EbsocketEvent<leave>: no event of this name is defined",
  );
});

Deno.test("EventChecker.checkSent() throws the error of a broken validator", () => {
  for (const name of ["throwing", "asynchronous"]) {
    assertThrows(
      () => check(new EbsocketEvent(name)),
      TypeError,
      `Cannot check event "${name}"`,
    );
  }
});

Deno.test("EventChecker.takeReceived() gives an event the output of its validator", () => {
  const event = new EbsocketEvent("shout", { content: "hi" });
  assertStrictEquals(checker.takeReceived(event), null);
  assertEquals(event.__dict__, { content: "HI" });
});

Deno.test("EventChecker.takeReceived() returns the issues, and never throws", () => {
  const cases: [event: EbsocketEvent, issue: string][] = [
    [new EbsocketEvent("message", { content: 1 }), "content: Expected a string"],
    [new EbsocketEvent("leave"), "no event of this name is defined"],
    [new EbsocketEvent("throwing"), 'Cannot check event "throwing": boom'],
    [
      new EbsocketEvent("asynchronous"),
      'Cannot check event "asynchronous": its validator is asynchronous',
    ],
  ];
  for (const [event, issue] of cases) {
    const before = { ...event.__dict__ };
    assertEquals(checker.takeReceived(event), [issue]);
    assertEquals(event.__dict__, before);
  }
});

Deno.test("isDefinitions() accepts the definitions of another copy of the package", () => {
  const { names, check } = defineEvents({});
  assert(isDefinitions({ names, check }));
  for (const value of [null, undefined, 1, () => {}, {}, { names }, { check }, MESSAGE]) {
    assertFalse(isDefinitions(value));
  }
});
