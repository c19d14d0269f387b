/** Definitions by the validators that people use, pinned in `deno.json`. */

import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { EventChecker } from "../../schema/checker.ts";
import { encodeLine } from "../../protocol/encoder.ts";
import {
  defineEvents,
  type ReceivedEvents,
  type SendableEvents,
} from "../../schema/definitions.ts";
import { EbsocketEvent, type Validated } from "../../protocol/event.ts";
import { turn } from "../support/turns.ts";
import { isSame, type Same } from "../support/types.ts";

const ZOD = defineEvents({
  message: z.object({ content: z.string(), tags: z.array(z.string()).default([]) }),
  join: z.object({ name: z.string().transform((name) => name.length) }),
  leave: z.object({}),
});

const VALIBOT = defineEvents({
  message: v.object({ content: v.string(), tags: v.optional(v.array(v.string()), []) }),
  join: v.object({ name: v.pipe(v.string(), v.transform((name) => name.length)) }),
  leave: v.object({}),
});

const ARKTYPE = defineEvents({
  message: type({ content: "string", tags: type("string[]").default(() => []) }),
  join: type({ name: type("string").pipe((name) => name.length) }),
  leave: type({}),
});

/** What all three libraries are to make of the definitions above. */
interface Received {
  message: { content: string; tags: string[] };
  join: { name: number };
  leave: Record<never, never>;
}
interface Sent {
  message: { content: string; tags?: string[] | undefined };
  join: { name: string };
}

Deno.test("defineEvents() infers its types from Zod", () => {
  isSame<Same<ReceivedEvents<typeof ZOD>["message"], Received["message"]>>(true);
  isSame<Same<ReceivedEvents<typeof ZOD>["join"], Received["join"]>>(true);
  isSame<Same<keyof ReceivedEvents<typeof ZOD> & string, keyof Received>>(true);
  isSame<Same<SendableEvents<typeof ZOD>["message"], Sent["message"]>>(true);
  isSame<Same<SendableEvents<typeof ZOD>["join"], Sent["join"]>>(true);
});

Deno.test("defineEvents() infers its types from Valibot", () => {
  isSame<Same<ReceivedEvents<typeof VALIBOT>["message"], Received["message"]>>(true);
  isSame<Same<ReceivedEvents<typeof VALIBOT>["join"], Received["join"]>>(true);
  isSame<Same<keyof ReceivedEvents<typeof VALIBOT> & string, keyof Received>>(true);
  isSame<Same<SendableEvents<typeof VALIBOT>["message"], Sent["message"]>>(true);
  isSame<Same<SendableEvents<typeof VALIBOT>["join"], Sent["join"]>>(true);
});

Deno.test("defineEvents() infers its types from ArkType", () => {
  isSame<Same<ReceivedEvents<typeof ARKTYPE>["message"], Received["message"]>>(true);
  isSame<Same<ReceivedEvents<typeof ARKTYPE>["join"], Received["join"]>>(true);
  isSame<Same<keyof ReceivedEvents<typeof ARKTYPE> & string, keyof Received>>(true);
  isSame<Same<SendableEvents<typeof ARKTYPE>["message"], { content: string; tags?: string[] }>>(
    true,
  );
  isSame<Same<SendableEvents<typeof ARKTYPE>["join"], Sent["join"]>>(true);
});

for (const [library, events] of Object.entries({ Zod: ZOD, Valibot: VALIBOT, ArkType: ARKTYPE })) {
  Deno.test(`${library}: defaults and transformations come about at the receiver`, () => {
    assertEquals(events.names, ["message", "join", "leave"]);
    const checker = new EventChecker(events);
    const message = new EbsocketEvent("message", { content: "hi" });
    checker.checkSent(message, encodeLine(message.event, message.__dict__));
    assertEquals(message.asBytes(), new EbsocketEvent("message", { content: "hi" }).asBytes());
    assertStrictEquals(checker.takeReceived(message), null);
    assertEquals(message.__dict__ as object, { content: "hi", tags: [] });

    const join = new EbsocketEvent("join", { name: "Ada" });
    checker.checkSent(join, encodeLine(join.event, join.__dict__));
    assertEquals(join.__dict__, { name: "Ada" });
    assertStrictEquals(checker.takeReceived(join), null);
    assertEquals(join.__dict__ as object, { name: 3 });
    assertStrictEquals(checker.takeReceived(new EbsocketEvent("leave")), null);
  });

  Deno.test(`${library}: issues have their path`, () => {
    const { issues = [] } = events.check("message", { content: 1, tags: ["a", 2] });
    assertEquals(issues.length, 2);
    for (const place of ["content", "tags[1]"]) {
      const issue = issues.find((issue) => issue.startsWith(place))!;
      assertEquals(issue.split(place).length, 2, issue); // It is said once.
    }
  });
}

Deno.test("Zod: a validator that waits is refused, and so is one that throws", async () => {
  const events = defineEvents({
    waits: z.object({ name: z.string().refine(async (name) => await name === "Ada") }),
    throws: z.object({
      name: z.string().refine(() => {
        throw new Error("boom");
      }),
    }),
  });
  for (const name of events.names) {
    assertThrows(
      () => events.check(name, { name: "Bob" }),
      TypeError,
      `Cannot check event "${name}": its validator is asynchronous`,
    );
  }
  await turn(); // A rejection of its own would fail the test.
});

Deno.test("Valibot: a validator that waits is refused", () => {
  const waits = v.pipeAsync(
    v.objectAsync({ name: v.string() }),
    v.checkAsync(async () => await true),
  );
  assertThrows(
    () => defineEvents({ waits }).check("waits", { name: "Ada" }),
    TypeError,
    'Cannot check event "waits": its validator is asynchronous',
  );
});

Deno.test("ArkType: changes by a validator are not sent", () => {
  const events = new EventChecker(
    defineEvents({ join: type({ name: "string.trim", "+": "delete" }) }),
  );
  const event = new EbsocketEvent("join", { name: " Ada ", more: 1 });
  events.checkSent(event, encodeLine(event.event, event.__dict__));
  assertEquals(event.__dict__, { name: " Ada ", more: 1 });
  assertStrictEquals(events.takeReceived(event), null);
  assertEquals(event.__dict__ as object, { name: "Ada" });
});

Deno.test("defineEvents() accepts schemas of several libraries at once", () => {
  const mixed = defineEvents({
    message: z.object({ content: z.string() }),
    join: v.object({ name: v.string() }),
    leave: type({ name: "string" }),
  });
  isSame<
    Same<
      ReceivedEvents<typeof mixed>,
      & Validated
      & { message: { content: string }; join: { name: string }; leave: { name: string } }
    >
  >(true);
  assertEquals(mixed.check("leave", { name: "Ada" }), { value: { name: "Ada" } });
});

Deno.test("defineEvents() accepts a union of shapes as attributes", () => {
  const { check } = defineEvents({
    shape: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("circle"), radius: z.number() }),
      z.object({ kind: z.literal("square"), side: z.number() }),
    ]),
  });
  assertEquals(check("shape", { kind: "circle", radius: 1 }).issues, undefined);
  assertEquals(check("shape", { kind: "circle", side: 1 }).issues?.length, 1);
  // @ts-expect-error attributes are an object
  const text = defineEvents({ text: z.string() });
  assertEquals(text.check("text", "a").issues, ["its validator gives String instead of an object"]);
});
