import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertThrows } from "@std/assert/throws";
import { defineEvents, type StandardSchema, type StandardSchemaResult } from "../../define.ts";
import { assertNoDearer } from "../support/collisions.ts";
import { ASYNCHRONOUS, MESSAGE, schemaOf, THROWING } from "../support/schemas.ts";
import { turn } from "../support/turns.ts";

Deno.test("defineEvents() returns frozen definitions with the names in order", () => {
  const schemas = { message: MESSAGE, join: MESSAGE };
  const chat = defineEvents(schemas);
  Reflect.deleteProperty(schemas, "message");
  assertEquals(chat.names, ["message", "join"]);
  assert(Object.isFrozen(chat));
  assert(Object.isFrozen(chat.names));
  assertEquals(chat.check("message", { content: "hi" }), { value: { content: "hi" } });
  assertEquals(defineEvents({}).names, []);
});

Deno.test("EventDefinitions.check() returns the output of the validator", () => {
  const shout = schemaOf((value) => {
    const { content } = value as { content: string };
    return { value: { content: content.toUpperCase(), at: 1 } };
  });
  const { check } = defineEvents({ shout });
  const attributes = { content: "hi", more: 1 };
  assertEquals(check("shout", attributes), { value: { content: "HI", at: 1 } });
  assertEquals(attributes, { content: "hi", more: 1 });
});

Deno.test("EventDefinitions.check() returns readable issues", () => {
  const { check } = defineEvents({ message: MESSAGE });
  assertEquals(check("message", { content: 1 }), { issues: ["content: Expected a string"] });
});

Deno.test("EventDefinitions.check() refuses undefined events", () => {
  const { check } = defineEvents({ message: MESSAGE });
  const names = ["", "Message", "message ", "__proto__", "constructor", "hasOwnProperty", "names"];
  for (const name of names) {
    assertEquals(check(name, { content: "hi" }), {
      issues: ["no event of this name is defined"],
    });
  }
});

Deno.test("EventDefinitions.check() keeps event names and object members apart", () => {
  const { names, check } = defineEvents({ ["__proto__"]: MESSAGE, constructor: MESSAGE });
  assertEquals(names, ["__proto__", "constructor"]);
  for (const name of names) {
    assertEquals(check(name, { content: "hi" }), { value: { content: "hi" } });
    assertEquals(check(name, {}), { issues: ["content: Expected a string"] });
  }
});

Deno.test("EventDefinitions.check() refuses validator output that is not an object", () => {
  class Move {
    x = 1;
  }
  const outputs: [output: unknown, kind: string][] = [
    [undefined, "Undefined"],
    [null, "Null"],
    ["text", "String"],
    [1, "Number"],
    [[1], "Array"],
    [new Map(), "Map"],
    [() => {}, "Function"],
  ];
  for (const [output, kind] of outputs) {
    const { check } = defineEvents({ odd: schemaOf(() => ({ value: output as object })) });
    assertEquals(check("odd", {}), {
      issues: [`its validator gives ${kind} instead of an object`],
    });
  }
  const { check } = defineEvents({ move: schemaOf(() => ({ value: new Move() })) });
  assertInstanceOf(check("move", {}).value, Move);
});

Deno.test("EventDefinitions.check() reports issues, whatever else a result has", () => {
  const both = { issues: [], value: {} } as StandardSchemaResult<object>;
  const { check } = defineEvents({ odd: schemaOf(() => both) });
  assertEquals(check("odd", {}), { issues: ["its validator does not say why"] });
});

Deno.test("EventDefinitions.check() throws where a validator does, or answers nothing of use", () => {
  const results: [result: unknown, why: string][] = [
    [undefined, "its validator gives Undefined instead of a result"],
    [null, "its validator gives Null instead of a result"],
    [true, "its validator gives Boolean instead of a result"],
  ];
  for (const [result, why] of results) {
    const { check } = defineEvents({ odd: schemaOf(() => result as { value: object }) });
    const { message } = assertThrows(() => check("odd", {}), TypeError);
    assertEquals(message, `Cannot check event "odd": ${why}`);
  }
  const { check } = defineEvents({ "a\nb": THROWING });
  const error = assertThrows(() => check("a\nb", {}), TypeError);
  assertEquals(error.message, 'Cannot check event "a\\nb": boom');
  assertEquals((error.cause as Error).message, "boom");
});

Deno.test("EventDefinitions.check() refuses a validator that answers later, even with an error", async () => {
  const { check } = defineEvents({ message: ASYNCHRONOUS });
  const { message } = assertThrows(() => check("message", {}), TypeError);
  assertEquals(message, 'Cannot check event "message": its validator is asynchronous');
  await turn(); // A rejection of its own would fail the test.
});

Deno.test("defineEvents() calls a validator as a method of its schema", () => {
  class Props {
    readonly version = 1;
    readonly vendor = "test";
    readonly extra = { x: 1 };
    validate(): { value: object } {
      return { value: this.extra };
    }
  }
  const { check } = defineEvents({ move: { "~standard": new Props() } });
  assertEquals(check("move", {}), { value: { x: 1 } });
});

Deno.test("defineEvents() accepts a function as a schema, and a module as the map", () => {
  const callable = Object.assign(() => {}, MESSAGE);
  const schemas = Object.assign(Object.create(null), { message: callable });
  assertEquals(defineEvents(schemas).check("message", { content: "hi" }).issues, undefined);
});

Deno.test("defineEvents() refuses a value that is not a schema, and names its event", () => {
  const props = MESSAGE["~standard"];
  const standard = 'a validator by Standard Schema, with a member "~standard"';
  const cases: [schema: unknown, message: string][] = [
    [undefined, `${standard}, got undefined`],
    [null, `${standard}, got null`],
    ["string", `${standard}, got "string"`],
    [{ content: "string" }, `${standard}, got {"content":"string"}`],
    [{ "~standard": 1 }, `${standard}, got {"~standard":1}`],
    [{ "~standard": null }, `${standard}, got {"~standard":null}`],
    [{ "~standard": { ...props, version: 2 } }, "version 1 of Standard Schema, got 2"],
    [{ "~standard": { ...props, version: "1" } }, 'version 1 of Standard Schema, got "1"'],
    [{ "~standard": { version: 1 } }, 'a function "validate", got undefined'],
  ];
  for (const [schema, message] of cases) {
    const schemas = { join: MESSAGE, "a\x1b": schema as StandardSchema<object> };
    const error = assertThrows(() => defineEvents(schemas), TypeError);
    assertEquals(error.message, `Invalid schema of event "a\\u001b": expected ${message}`);
  }
});

Deno.test("defineEvents() refuses invalid event names", () => {
  assertThrows(() => defineEvents({ "": MESSAGE }), RangeError, "Invalid event name");
  assertThrows(() => defineEvents({ ["é".repeat(128)]: MESSAGE }), RangeError, "got 256");
});

Deno.test("defineEvents() refuses a map that is not a plain object, such as a literal with a __proto__", () => {
  const cases = [null, undefined, 1, [MESSAGE], new Map([["a", MESSAGE]]), { __proto__: MESSAGE }];
  for (const schemas of cases) {
    assertThrows(
      () => defineEvents(schemas as unknown as Record<string, StandardSchema<object>>),
      TypeError,
      "Cannot define events: expected a plain object of schemas by name, got ",
    );
  }
});

Deno.test("EventDefinitions.check() is as fast with names that look like integers", () => {
  const { check } = defineEvents({ message: MESSAGE });
  let isKnown = false;
  assertNoDearer(20_000, (names) => {
    for (const name of names) isKnown ||= "value" in check(name, {});
  });
  assertFalse(isKnown);
});
