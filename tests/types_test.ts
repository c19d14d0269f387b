// What the compiler must accept and refuse. `deno check` and `deno test` fail where a line below
// `@ts-expect-error` compiles, and where a type is not the one that it is compared with.

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { Address } from "../protocol/address.ts";
import type { ClientStatus, EbsocketClient } from "../client.ts";
import type { EbsocketConnection } from "../net/connection.ts";
import { type CloseReason, EventFormatError, FramingError } from "../errors.ts";
import {
  EbsocketEvent,
  type EventOf,
  type OpenAttributes,
  type OpenEvents,
  type SendableEvent,
} from "../protocol/event.ts";
import { RawEvent } from "../protocol/raw_event.ts";
import { EventDecoderStream, EventEncoderStream } from "../framing.ts";
import type { EbsocketSystem } from "../system.ts";
import { assertVerdict, compileAll, type Errors, type Strictness } from "./support/compile.ts";
import { isSame, type Same } from "./support/types.ts";

type Chat = { message: { content: string }; join: { name: string } };

/** The same as an interface, which has no index signature. */
interface ChatInterface {
  message: { content: string };
  join: { name: string };
}

// The snippet of the design, as it stands there.
async function chat(client: EbsocketClient<Chat>): Promise<void> {
  for await (const event of client) {
    if (event.compareType("message")) event.__dict__.content.toUpperCase();
    if (event.event === "join") event.getAttribute("name");
  }
  // @ts-expect-error content is a string
  client.sendEvent(new EbsocketEvent("message", { content: 1 }));
}

async function moreChat(client: EbsocketClient<Chat>): Promise<void> {
  client.sendEvent(new EbsocketEvent("message", { content: "hi" }));
  // @ts-expect-error there is no such event
  client.sendEvent(new EbsocketEvent("leave", { name: "x" }));
  // @ts-expect-error content is missing
  client.sendEvent(new EbsocketEvent("message", {}));
  // @ts-expect-error content is missing
  client.sendEvent(new EbsocketEvent("message"));
  // @ts-expect-error the attributes are those of another event
  client.sendEvent(new EbsocketEvent("join", { content: "hi" }));
  const received = await client.recvEvent();
  isSame<Same<typeof received, EventOf<Chat> | null>>(true);
  const [events, connected] = await client.pump();
  isSame<Same<typeof events, EventOf<Chat>[]>>(true);
  isSame<Same<typeof connected, boolean>>(true);
}

/** A name of very many tokens, which has more patterns than a type may have. */
function long(
  client: EbsocketClient<{ "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q": { x: number }; z: { y: number } }>,
): void {
  client.subscribe([">", "a.*.c.>", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "z"]);
  // @ts-expect-error no name matches
  client.subscribe(["b.>"]);
}

/** Events without attributes, beside others or alone, and one with attributes alone. */
type Bare = { join: { name: string }; ping: object; note: { text?: string } };

function bare(client: EbsocketClient<Bare>, one: EbsocketClient<{ join: { name: string } }>): void {
  client.sendEvent(new EbsocketEvent("ping"));
  client.sendEvent(new EbsocketEvent("ping", {}));
  client.sendEvent(new EbsocketEvent("note"));
  client.sendEvent(new EbsocketEvent("note", { text: "hi" }));
  // @ts-expect-error name is missing
  client.sendEvent(new EbsocketEvent("join"));
  // @ts-expect-error name is missing
  one.sendEvent(new EbsocketEvent("join"));
  // @ts-expect-error name is missing
  new EbsocketEvent<"join", { name: string }>("join");
  const join = new EbsocketEvent("join", { name: "Ada" });
  isSame<Same<typeof join, EbsocketEvent<"join", { name: string }>>>(true);
  const open = new EbsocketEvent("ping");
  isSame<Same<typeof open, EbsocketEvent<"ping", OpenAttributes>>>(true);
}

async function chatStatus(client: EbsocketClient<Chat>): Promise<void> {
  for await (const status of client.status()) {
    isSame<Same<typeof status, ClientStatus<Chat>>>(true);
    if (status.type === "disconnected") {
      isSame<Same<typeof status.unconfirmed, readonly EventOf<Chat>[]>>(true);
      for (const event of status.unconfirmed) client.sendEvent(event);
    }
    // @ts-expect-error not every status has it
    status.unconfirmed;
  }
}

async function chatServer(system: EbsocketSystem<ChatInterface>): Promise<void> {
  const [, newEvents] = await system.pump();
  for (const event of newEvents) {
    const connection: EbsocketConnection = event.fromConnection;
    isSame<Same<typeof connection.address, Address>>(true);
    if (event.event === "message") {
      isSame<Same<typeof event.__dict__.content, string>>(true);
      system.sendEventTo(event.fromConnection, new EbsocketEvent("join", { name: "x" }));
    }
  }
  // @ts-expect-error name is a string
  system.sendEventToClients(new EbsocketEvent("join", { name: 1 }));
}

async function open(client: EbsocketClient): Promise<void> {
  client.sendEvent(new EbsocketEvent("anything", { a: 1 }));
  client.sendEvent(new EbsocketEvent("nothing"));
  const event: EbsocketEvent<string, OpenAttributes> | null = await client.recvEvent();
  // @ts-expect-error the event may be null
  event.event;
  // @ts-expect-error nothing is known of the attributes
  event?.__dict__.content.toUpperCase();
}

async function streams(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  for await (const event of bytes.pipeThrough(new EventDecoderStream<Chat>())) {
    isSame<Same<typeof event, EventOf<Chat>>>(true);
  }
  const writer = new EventEncoderStream<Chat>().writable.getWriter();
  await writer.write(new EbsocketEvent("join", { name: "x" }));
  // @ts-expect-error name is a string
  await writer.write(new EbsocketEvent("join", { name: 1 }));
}

type Jobs = {
  "job.resize": { width: number };
  "job.crop": { left: number };
  "time.now": { zone: string };
};

async function subscriptions(client: EbsocketClient<Jobs>): Promise<void> {
  client.subscribe(["job.*", ">", "time.now", "*.now"], { queue: "q" });
  client.unsubscribe([]);
  // @ts-expect-error no event is called so
  client.subscribe(["jobs.*"]);
  // @ts-expect-error it has two tokens
  client.serve("*");
  for await (const event of client.serve("job.*")) {
    isSame<Same<typeof event, EventOf<Pick<Jobs, "job.resize" | "job.crop">>>>(true);
    if (event.event === "job.crop") event.__dict__.left.toFixed();
    // @ts-expect-error it is no job
    if (event.event === "time.now") break;
  }
  for await (const event of client.serve("time.now", { queue: "clocks" })) {
    isSame<Same<typeof event.__dict__.zone, string>>(true);
    const isSent = await client.reply(event, new EbsocketEvent("time.now", { zone: "UTC" }));
    isSame<Same<typeof isSent, boolean>>(true);
    // @ts-expect-error zone is a string
    client.reply(event, new EbsocketEvent("time.now", { zone: 1 }));
  }
  for await (const event of client.serve(">")) isSame<Same<typeof event, EventOf<Jobs>>>(true);
}

async function requests(client: EbsocketClient<Jobs>): Promise<void> {
  const event = new EbsocketEvent("time.now", { zone: "UTC" });
  const answer = await client.request(event, { to: "c1", timeout: 1000 });
  isSame<Same<typeof answer, EventOf<Jobs>>>(true);
  for await (const each of client.requestMany(event, { count: 3 })) {
    isSame<Same<typeof each, EventOf<Jobs>>>(true);
  }
  const clients = await client.sendEvent(event, { confirm: true, timeout: 1000 });
  isSame<Same<typeof clients, number>>(true);
  const nothing = await client.sendEvent(event, { to: "c1" });
  isSame<Same<typeof nothing, void>>(true);
  // @ts-expect-error there is no such event
  client.request(new EbsocketEvent("time.then"));
  // @ts-expect-error there is nothing to wait for
  client.sendEvent(event, { timeout: 1000 });
  const { relay, clients: all, names } = await client.inspect();
  isSame<Same<typeof relay.eventsIn, number>>(true);
  isSame<Same<typeof names[number]["name"], string>>(true);
  all.length.toFixed();
}

async function openServices(client: EbsocketClient): Promise<void> {
  client.subscribe(["anything.*"]);
  for await (const event of client.serve("anything")) {
    isSame<Same<typeof event, EventOf<OpenEvents>>>(true);
    client.reply(event, new EbsocketEvent("answer", { a: 1 }));
  }
  for await (const status of client.status()) {
    if (status.type === "gap") isSame<Same<typeof status.missed, number>>(true);
    if (status.type === "refused") isSame<Same<typeof status.event, string | null>>(true);
  }
}

async function passOn(from: EbsocketClient, to: EbsocketClient): Promise<void> {
  for await (const event of from) {
    if (!(event instanceof RawEvent)) continue;
    isSame<Same<typeof event.line, Uint8Array>>(true);
    // @ts-expect-error a raw event cannot change
    event.event = "other";
    // @ts-expect-error its attributes cannot change either
    event.__dict__ = {};
    await to.sendEvent(event);
  }
}

// Never called: they are there to be compiled.
export const compiled = [chat, moreChat, bare, long, chatStatus, chatServer, open, streams];
export const compiledToo = [subscriptions, requests, openServices, passOn];

/** What `event` says, told apart by the name in both ways. */
function tell(event: EventOf<Chat>): string {
  // @ts-expect-error not every event has content
  event.__dict__.content;
  if (event.compareType("message")) {
    isSame<Same<typeof event.event, "message">>(true);
    isSame<Same<typeof event.__dict__.content, string>>(true);
    return event.__dict__.content.toUpperCase();
  }
  isSame<Same<typeof event.event, "join">>(true);
  if (event.event === "join") {
    const name = event.getAttribute("name");
    isSame<Same<typeof name, string | null>>(true);
    // @ts-expect-error there is no such attribute
    event.getAttribute("content");
    return `${name} joined`;
  }
  return "";
}

Deno.test("EbsocketEvent.compareType() narrows the type of an event", () => {
  assertEquals(tell(new EbsocketEvent("message", { content: "hi" })), "HI");
  assertEquals(tell(new EbsocketEvent("join", { name: "Ada" })), "Ada joined");
});

Deno.test("EbsocketEvent infers its types from its arguments", () => {
  const event = new EbsocketEvent("message", { content: "hi", count: 1 });
  isSame<Same<typeof event, EbsocketEvent<"message", { content: string; count: number }>>>(true);
  event.__dict__.count += 1;
  // @ts-expect-error count is a number
  event.__dict__.count = "two";
  // @ts-expect-error there is no such attribute
  event.getAttribute("contents");
  assertEquals(event.getAttribute("content"), "hi");
});

Deno.test("SendableEvent is any event without a map, and one of the map's with one", () => {
  const made = new EbsocketEvent("message", { content: "hi" });
  const sendable: SendableEvent<Chat>[] = [made];
  const open: SendableEvent<Record<string, OpenAttributes>>[] = [made, new EbsocketEvent("x")];
  isSame<Same<SendableEvent<Chat>, EventOf<Chat>>>(true);
  isSame<Same<SendableEvent<ChatInterface>, EventOf<ChatInterface>>>(true);
  assertEquals(sendable.length, 1);
  assertEquals(open.length, 2);
});

Deno.test("EventFormatError.code and FramingError.code are reasons to close a connection", () => {
  const reason = (error: EventFormatError | FramingError): CloseReason => error.code;
  assertEquals(reason(new EventFormatError("bad-json", "x")), "bad-json");
  assertEquals(reason(new FramingError("truncated", "x")), "truncated");
});

const HEAD = `
import {
  EbsocketClient, EbsocketEvent, EbsocketSystem, EventDecoderStream, type EventOf,
} from "@ebsockets/relay";
`;

/** Event maps with what JSON does not carry, or not as it is; and one of all that it does. */
const MAPS = `${HEAD}
type Lies = {
  saved: { when: Date };
  maybe: { when?: Date | null };
  deep: { by: { name: string; logins: { at: Date }[] } };
  count: { n: bigint };
  call: { back: () => void };
  sign: { s: symbol };
  names: { all: Map<string, string> };
  bytes: { raw: Uint8Array };
  where: { url: URL };
  holes: { list: (number | undefined)[] };
  point: { at: Point };
  fine: { x: number };
};
class Point { x = 1; length() { return this.x; } }
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Tree = { name: string; parts: readonly Tree[] };
type Sum = number | ["+", Sum, Sum];
enum Color { Red = "red", Blue = "blue" }
interface User { readonly id: number; tags?: string[]; pair: [number, string]; color: Color }
interface Carried {
  user: User;
  users: { all: User[]; byName: Record<string, User>; unset: string | undefined };
  tree: { root: Tree };
  json: { value: Json; any: any; unknown: unknown };
  sum: { value: Sum };
  shape: { kind: "circle"; radius: number } | { kind: "square"; side: number };
  branded: { id: string & { readonly brand: "id" } };
  open: Record<string, unknown>;
  ping: object;
}
declare const lies: EbsocketClient<Lies>;
declare const carried: EbsocketClient<Carried>;
declare const system: EbsocketSystem<Carried>;
`;

const REFUSED = `${MAPS}
lies.sendEvent(new EbsocketEvent("fine", { x: 1 }));
lies.sendEvent(new EbsocketEvent("saved", { when: new Date() })); // wrong: Type 'Date' is not assignable to type '"JSON has what its toJSON() returns: declare and send that, of a Date a string"'
lies.sendEvent(new EbsocketEvent("maybe", {}));
lies.sendEvent(new EbsocketEvent("maybe", { when: new Date() })); // wrong: "JSON has what its toJSON() returns
lies.sendEvent(new EbsocketEvent("deep", { by: { name: "", logins: [{ at: new Date() }] } })); // wrong: Type 'Date' is not assignable to type '"JSON has what its toJSON() returns: declare and send that, of a Date a string"'
lies.sendEvent(new EbsocketEvent("count", { n: 1n })); // wrong: Type 'bigint' is not assignable to type '"JSON has no bigint: declare
lies.sendEvent(new EbsocketEvent("call", { back: () => {} })); // wrong: "JSON has no functions"
lies.sendEvent(new EbsocketEvent("sign", { s: Symbol.iterator })); // wrong: "JSON has no symbols"
lies.sendEvent(new EbsocketEvent("names", { all: new Map([["a", "b"]]) })); // wrong: "JSON has only arrays and plain objects
lies.sendEvent(new EbsocketEvent("bytes", { raw: new Uint8Array(1) })); // wrong: "JSON has only arrays and plain objects
lies.sendEvent(new EbsocketEvent("where", { url: new URL("a:b") })); // wrong: "JSON has what its toJSON() returns
lies.sendEvent(new EbsocketEvent("holes", { list: [1, undefined] })); // wrong: undefined
lies.sendEvent(new EbsocketEvent("point", { at: new Point() })); // wrong: "JSON has no functions"
lies.request(new EbsocketEvent("count", { n: 1n })); // wrong: Type 'bigint' is not assignable to type '"JSON has no bigint: declare
lies.requestMany(new EbsocketEvent("count", { n: 1n })); // wrong: Type 'bigint' is not assignable to type '"JSON has no bigint: declare
lies.reply({ id: null, from: null }, new EbsocketEvent("count", { n: 1n })); // wrong: Type 'bigint' is not assignable to type '"JSON has no bigint: declare
lies.sendEvent(new EbsocketEvent("count", { n: 1n }), { confirm: true }); // wrong: Type 'bigint' is not assignable to type '"JSON has no bigint: declare
export function all(system: EbsocketSystem<Lies>): void {
  system.sendEventToClients(new EbsocketEvent("count", { n: 1n })); // wrong: Type 'bigint' is not assignable to type '"JSON has no bigint: declare
}
`;

const ARRIVING = `${MAPS}
for await (const event of lies) {
  if (event.event === "fine") event.__dict__.x.toFixed();
  if (event.event === "saved") event.__dict__.when.getTime(); // wrong: 'getTime' does not exist on type '"JSON has what its toJSON() returns: declare and send that, of a Date a string"'
  if (event.compareType("maybe")) event.__dict__.when?.getTime(); // wrong: "JSON has what its toJSON() returns
  if (event.event === "deep") event.__dict__.by.logins[0]?.at.getTime(); // wrong: "JSON has what its toJSON() returns
  if (event.event === "count") event.getAttribute("n")?.toFixed(); // wrong: "JSON has no bigint
}
for await (const event of lies.serve("saved")) event.__dict__.when.getTime(); // wrong: "JSON has what
const answer = await lies.request(new EbsocketEvent("fine", { x: 1 }));
if (answer.event === "names") answer.__dict__.all.get("a"); // wrong: "JSON has only arrays and plain objects
export async function read(system: EbsocketSystem<Lies>, bytes: ReadableStream<Uint8Array<ArrayBuffer>>) {
  for (const event of (await system.pump())[1]) {
    if (event.event === "where") event.__dict__.url.host; // wrong: 'host' does not exist
  }
  for await (const event of bytes.pipeThrough(new EventDecoderStream<Lies>())) {
    if (event.event === "bytes") event.__dict__.raw[0]!.toFixed(); // wrong: 'toFixed' does not exist
  }
}
`;

const CARRIED = `${MAPS}
declare const user: User, tree: Tree, json: Json, sum: Sum, id: Carried["branded"]["id"];
declare const shape: Carried["shape"];
carried.sendEvent(new EbsocketEvent("user", user));
carried.sendEvent(new EbsocketEvent("users", { all: [user], byName: { Ada: user }, unset: undefined }));
carried.sendEvent(new EbsocketEvent("tree", { root: tree }));
carried.sendEvent(new EbsocketEvent("json", { value: json, any: 1, unknown: 1 }));
carried.sendEvent(new EbsocketEvent("sum", { value: sum }));
carried.sendEvent(new EbsocketEvent("shape", shape));
carried.sendEvent(new EbsocketEvent("branded", { id }));
carried.sendEvent(new EbsocketEvent("open", { x: 1 }));
carried.sendEvent(new EbsocketEvent("ping"));
const event = (await carried.recvEvent())!;
switch (event.event) {
  case "user": { const same: User = event.__dict__; same; break; }
  case "users": { const same: User[] = event.__dict__.all; same; break; }
  case "tree": { const same: Tree = event.__dict__.root; same; break; }
  case "json": { const same: Json = event.__dict__.value; same; event.__dict__.any.x; break; }
  case "sum": { const same: Sum = event.__dict__.value; same; break; }
  case "shape": { const same: Carried["shape"] = event.__dict__; same; break; }
  case "branded": { const same: typeof id = event.__dict__.id; same; break; }
  case "open": event.__dict__.x;
}
carried.sendEvent(event);
system.sendEventToClients(event);
for await (const status of carried.status()) {
  if (status.type === "disconnected") for (const each of status.unconfirmed) carried.sendEvent(each);
}
export async function first<E extends object>(client: EbsocketClient<E>): Promise<string> {
  for await (const event of client) return event.event;
  return "";
}
first(carried);
first(lies);
`;

const HELPER = `${HEAD}
type Events = { a: { x: number }; b: { y: string }; c: { z?: string } };
type Name = keyof Events & string;
type Client = EbsocketClient<Events>;
export function send<K extends Name>(client: Client, name: K, attributes: Events[K]) {
  return client.sendEvent(new EbsocketEvent(name, attributes));
}
export function anyKey<K extends keyof Events>(client: Client, name: K, attributes: Events[K]) {
  return client.sendEvent(new EbsocketEvent(name, attributes), { to: "c1" });
}
export function confirm<K extends Name>(client: Client, name: K, attributes: Events[K]): Promise<number> {
  return client.sendEvent(new EbsocketEvent(name, attributes), { confirm: true });
}
export function ask<K extends Name>(client: Client, name: K, attributes: Events[K]) {
  return client.request(new EbsocketEvent(name, attributes));
}
export function answer<K extends Name>(client: Client, name: K, attributes: Events[K]) {
  return client.reply({ id: "1", from: "c1" }, new EbsocketEvent(name, attributes));
}
export function tell<K extends Name>(system: EbsocketSystem<Events>, name: K, attributes: Events[K]) {
  return system.sendEventToClients(new EbsocketEvent(name, attributes));
}
export function pass(client: Client, event: EventOf<Events>) {
  return client.sendEvent(event);
}
export function mixed<K extends Name>(client: Client, name: K, attributes: Events["a"]) {
  return client.sendEvent(new EbsocketEvent(name, attributes)); // wrong: is not assignable to
}
export function either(client: Client, name: "a" | "b") {
  return client.sendEvent(new EbsocketEvent(name, { x: 1 })); // wrong: is not assignable to
}
declare const client: Client;
send(client, "a", { x: 1 });
send(client, "b", { x: 1 }); // wrong: 'x' does not exist in type '{ y: string; }'
`;

/** Under the default options alone, this is right. */
const OPTIONAL = `${HEAD}
type Events = { message: { content: string; color?: string } };
declare const client: EbsocketClient<Events>;
export function say(content: string, color?: string) {
  return client.sendEvent(new EbsocketEvent("message", { content, color }));
}
`;

/** What is made where it is sent: the compiler knows each name, and what belongs to it. */
const MADE = `${HEAD}
import type { EbsocketConnection } from "@ebsockets/relay";
type Lamp = {
  set: { color: "red" | "blue" };
  move: { to: [x: number, y: number] };
  shape: { kind: "circle"; radius: number } | { kind: "square"; side: number };
  join: { name: string };
  note: { text?: string };
  ping: object;
};
declare const client: EbsocketClient<Lamp>, system: EbsocketSystem<Lamp>, open: EbsocketClient;
declare const connection: EbsocketConnection, asked: EbsocketEvent;
interface Point { x: number }
declare const point: Point;
client.send("set", { color: "red" });
client.send("move", { to: [1, 2] });
client.send("shape", { kind: "circle", radius: 1 }, { to: "c1" });
export const count: Promise<number> = client.send("join", { name: "Ada" }, { confirm: true });
export const nothing: Promise<void> = client.send("ping");
client.send("note");
client.request("set", { color: "red" }, { timeout: 1 });
client.request("ping");
client.requestMany("move", { to: [1, 2] }, { count: 1 });
client.requestMany("note");
client.reply(asked, "set", { color: "blue" });
client.reply(asked, "ping");
system.sendTo(connection, "set", { color: "blue" });
system.sendTo(connection, "ping");
system.sendToClients("set", { color: "blue" }, { except: connection });
system.sendToClients("note");
system.reply(asked, "set", { color: "blue" });
system.reply(asked, "ping");
open.send("any");
open.send("any", point);
open.request("any", { x: 1 });
type Name = keyof Lamp;
export function send<K extends Name>(client: EbsocketClient<Lamp>, name: K, attributes: Lamp[K]) {
  client.reply(asked, name, attributes);
  client.request(name, attributes);
  return client.send(name, attributes, { confirm: true });
}
export function tell<K extends Name>(system: EbsocketSystem<Lamp>, name: K, attributes: Lamp[K]) {
  system.sendToClients(name, attributes);
  return system.sendTo(connection, name, attributes);
}
client.send("set", { color: "green" }); // wrong: Type '"green"' is not assignable to type '"red" | "blue"'
client.send("set", { color: "red", size: 1 }); // wrong: 'size' does not exist in type '{ color: "red" | "blue"; }'
client.send("sett", { color: "red" }); // wrong: Argument of type '"sett"' is not assignable to
client.send("join"); // wrong: Argument of type '"join"' is not assignable to parameter of type '"note" | "ping"'
client.reply(asked, "set", { color: "green" }); // wrong: Type '"green"' is not assignable to type
client.request("set", { color: "green" }); // wrong: Type '"green"' is not assignable to type
system.sendTo(connection, "join", { nam: "Ada" }); // wrong: 'nam' does not exist in type '{ name: string; }'
system.sendToClients("join", { name: 1 }); // wrong: Type 'number' is not assignable to type 'string'
system.reply(asked, "join", { name: 1 }); // wrong: Type 'number' is not assignable to type 'string'
`;

const PROGRAMS = {
  refused: REFUSED,
  arriving: ARRIVING,
  carried: CARRIED,
  helper: HELPER,
  made: MADE,
  optional: OPTIONAL,
};

/** What the compiler says of all of them; it is asked once with each kind of options. */
const verdicts = new Map<Strictness, Promise<Record<string, Errors>>>();

async function verdict(name: keyof typeof PROGRAMS, strictness: Strictness): Promise<Errors> {
  if (!verdicts.has(strictness)) verdicts.set(strictness, compileAll(PROGRAMS, strictness));
  return (await verdicts.get(strictness)!)[name]!;
}

for (const strictness of ["strict", "default"] as const) {
  Deno.test(`EbsocketClient and EbsocketSystem refuse values outside JSON (${strictness})`, async () => {
    assertVerdict(REFUSED, await verdict("refused", strictness));
  });

  Deno.test(`EventOf has the types that arrive where the event map has others (${strictness})`, async () => {
    assertVerdict(ARRIVING, await verdict("arriving", strictness));
  });

  Deno.test(`EventOf leaves a map of JSON values as it is (${strictness})`, async () => {
    assertVerdict(CARRIED, await verdict("carried", strictness));
  });

  Deno.test(`EbsocketClient.sendEvent() needs no cast in a helper for any event (${strictness})`, async () => {
    assertVerdict(HELPER, await verdict("helper", strictness));
  });

  Deno.test(`EbsocketClient.send() and similar methods check the attributes of a name (${strictness})`, async () => {
    assertVerdict(MADE, await verdict("made", strictness));
  });
}

Deno.test("EbsocketClient.sendEvent() takes optional attributes that are undefined, unless the compiler minds", async () => {
  assertVerdict(OPTIONAL, await verdict("optional", "default"));
  const [[, message]] = await verdict("optional", "strict") as [[number, string]];
  assertMatch(message, /exactOptionalPropertyTypes/);
});
