// What the compiler must make of definitions. What must compile is here; `deno check` and `deno test`
// fail where it does not, or where a line below `@ts-expect-error` does. The last tests run the
// compiler on programs as users write them, and look at what it says, and where.

import { assertEquals } from "@std/assert/equals";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { type ClientOptions, EbsocketClient } from "../../client.ts";
import {
  defineEvents,
  type EventDefinitions,
  type ReceivedEvents,
  type SendableEvents,
} from "../../schema/definitions.ts";
import { EbsocketEvent, type EventOf, type OpenEvents } from "../../protocol/event.ts";
import type { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import { clientPair, expectEvents } from "../../testing.ts";
import { assertVerdict, compile } from "../support/compile.ts";
import { isSame, type Same } from "../support/types.ts";

const CHAT = defineEvents({
  message: z.object({ content: z.string(), priority: z.number().default(0) }),
  join: v.object({ name: v.string() }),
  leave: type({ "reason?": "string" }),
});

type Received = ReceivedEvents<typeof CHAT>;
type Sendable = SendableEvents<typeof CHAT>;

async function client(): Promise<void> {
  const client = new EbsocketClient({ events: CHAT, reconnect: true });
  isSame<Same<typeof client, EbsocketClient<Received, Sendable>>>(true);
  client.sendEvent(new EbsocketEvent("message", { content: "hi" }));
  client.sendEvent(new EbsocketEvent("message", { content: "hi", priority: 1 }));
  client.sendEvent(new EbsocketEvent("leave"));
  // @ts-expect-error priority is a number
  client.sendEvent(new EbsocketEvent("message", { content: "hi", priority: "1" }));
  // @ts-expect-error content is missing
  client.sendEvent(new EbsocketEvent("message", { priority: 1 }));
  // @ts-expect-error there is no such event
  client.sendEvent(new EbsocketEvent("part", { name: "Ada" }));
  for await (const event of client) {
    isSame<Same<typeof event, EventOf<Received>>>(true);
    if (event.compareType("message")) isSame<Same<typeof event.__dict__.priority, number>>(true);
    // @ts-expect-error what has been received has all defaults, what is in a join has none of them
    if (event.event === "join") event.__dict__.priority;
  }
  for await (const status of client.status()) {
    if (status.type !== "closed") continue;
    isSame<Same<typeof status.unsent, readonly EventOf<Sendable>[]>>(true);
    for (const event of status.unsent) client.sendEvent(event);
  }
  const answer = await client.request(new EbsocketEvent("message", { content: "who" }));
  isSame<Same<typeof answer, EventOf<Received>>>(true);
  for await (const event of client.serve("message")) {
    isSame<Same<typeof event.__dict__.priority, number>>(true);
    client.reply(event, new EbsocketEvent("join", { name: "Ada" }));
    // @ts-expect-error name is a string
    client.reply(event, new EbsocketEvent("join", { name: 1 }));
  }
  for await (const invalidEvent of client.invalidEvents()) {
    isSame<Same<typeof invalidEvent.event, EbsocketEvent>>(true);
    isSame<Same<typeof invalidEvent.issues, readonly string[]>>(true);
  }
}

async function system(server: EbsocketServer): Promise<void> {
  const system = new EbsocketSystem(server, { events: CHAT, timeout: 10 });
  isSame<Same<typeof system, EbsocketSystem<Received, Sendable>>>(true);
  system.sendEventToClients(new EbsocketEvent("message", { content: "hi" }));
  // @ts-expect-error name is a string
  system.sendEventToClients(new EbsocketEvent("join", { name: 1 }));
  const [, events, , invalidEvents] = await system.pump();
  for (const event of events) {
    if (event.event === "message") isSame<Same<typeof event.__dict__.priority, number>>(true);
  }
  for (const [event, issues] of invalidEvents) {
    isSame<Same<typeof event.event, string>>(true);
    isSame<Same<typeof issues, readonly string[]>>(true);
  }
}

async function tests(): Promise<void> {
  const { one, other } = await clientPair({ events: CHAT });
  isSame<Same<typeof one, EbsocketClient<Received, Sendable>>>(true);
  const events = await expectEvents(other, [["message", { content: "hi", priority: 0 }]]);
  isSame<Same<typeof events, EventOf<Received>[]>>(true);
}

function untyped(options: ClientOptions, definitions: EventDefinitions): void {
  const plain = new EbsocketClient();
  isSame<Same<typeof plain, EbsocketClient<OpenEvents, OpenEvents>>>(true);
  const withOptions = new EbsocketClient({ reconnect: true });
  isSame<Same<typeof withOptions, EbsocketClient>>(true);
  const withUnknown = new EbsocketClient(options);
  isSame<Same<typeof withUnknown, EbsocketClient>>(true);
  const withDefinitions = new EbsocketClient({ events: definitions });
  isSame<Same<typeof withDefinitions, EbsocketClient>>(true);
  const named: EbsocketClient<{ a: { x: number } }> = new EbsocketClient<{ a: { x: number } }>({});
  // @ts-expect-error the definitions are of other events
  new EbsocketClient<{ a: { x: number } }>({ events: CHAT });
  named.sendEvent(new EbsocketEvent("a", { x: 1 }));
}

// Never called: they are there to be compiled.
export const compiled = [client, system, tests, untyped];

Deno.test("EventDefinitions of some events can be used as those of any", () => {
  const any: EventDefinitions[] = [CHAT];
  const objects: EventDefinitions<object>[] = [CHAT];
  // @ts-expect-error they are not those of other events
  const others: EventDefinitions<{ message: { content: number } }>[] = [CHAT];
  assertEquals(any[0], others[0]);
  assertEquals(objects[0], others[0]);
});

const HEAD = `
import { defineEvents, EbsocketClient, EbsocketEvent } from "@ebsockets/relay";
import { z } from "zod";
const chat = defineEvents({ message: z.object({ content: z.string(), at: z.number().default(0) }) });
const client = new EbsocketClient({ events: chat });
`;

Deno.test("defineEvents(): a program that is right compiles", async () => {
  const program = `${HEAD}
client.sendEvent(new EbsocketEvent("message", { content: "hi" }));
for await (const event of client) {
  if (event.compareType("message")) event.__dict__.at.toFixed();
}`;
  assertEquals(await compile(program), []);
});

Deno.test("defineEvents(): a wrong program does not compile, with readable errors", async () => {
  const program = `${HEAD}
client.sendEvent(new EbsocketEvent("message", { content: 1 })); // wrong: Type 'number' is not assignable to type 'string'
client.sendEvent(new EbsocketEvent("mesage", { content: "hi" })); // wrong: '"mesage"' is not assignable to
for await (const event of client) {
  if (event.compareType("message")) event.__dict__.at.toUpperCase(); // wrong: 'toUpperCase' does not exist on type 'number'
}
defineEvents({ text: z.string() }); // wrong: Type 'string' is not assignable to type 'object'
defineEvents({ nothing: {} }); // wrong: Property '"~standard"' is missing
`;
  assertVerdict(program, await compile(program));
});

Deno.test("defineEvents(): the output of validators arrives, and values outside JSON cannot be sent", async () => {
  const program = `
import { defineEvents, EbsocketClient, EbsocketEvent, EbsocketSystem } from "@ebsockets/relay";
import { z } from "zod";
const events = defineEvents({
  saved: z.object({ when: z.string().transform((text) => new Date(text)) }),
  coerced: z.object({ when: z.coerce.date() }),
  bare: z.object({ when: z.date(), big: z.bigint().optional() }),
});
const client = new EbsocketClient({ events });
client.sendEvent(new EbsocketEvent("saved", { when: "2026-01-01" }));
client.sendEvent(new EbsocketEvent("saved", { when: new Date() })); // wrong: Type 'Date' is not assignable to type 'string'
client.sendEvent(new EbsocketEvent("coerced", { when: new Date() }));
client.sendEvent(new EbsocketEvent("bare", { when: new Date() })); // wrong: "JSON has what its toJSON() returns
for await (const event of client) {
  if (event.event === "saved" || event.event === "coerced") event.__dict__.when.getTime();
}
for await (const event of client.serve("saved")) event.__dict__.when.getTime();
export async function serve(system: EbsocketSystem): Promise<void> {
  const checked = new EbsocketSystem(system.server, { events });
  for (const event of (await checked.pump())[1]) {
    if (event.event === "coerced") event.__dict__.when.getTime();
  }
}`;
  for (const strictness of ["strict", "default"] as const) {
    assertVerdict(program, await compile(program, strictness));
  }
});
