import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStringIncludes } from "@std/assert/string-includes";
import { EventChecker } from "../../schema/checker.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import type { ControlChannel } from "../../client/subscriptions.ts";
import type { InboxOptions } from "../../net/inbox.ts";
import { PendingRequest } from "../../client/pending_requests.ts";
import { Receiver } from "../../client/receiver.ts";

/** Takes the first answer. */
class Asker extends PendingRequest {
  bytes = 0;

  override onReply(_answer: EbsocketEvent, bytes: number): boolean {
    this.bytes = bytes;
    return true;
  }
}

let line = "";

const CHANNEL: ControlChannel = {
  isGreeted: true,
  hasEnded: false,
  maxLineBytes: Infinity,
  has: () => true,
  sendControl: (bytes) => void (line = new TextDecoder().decode(bytes)),
};

function start(options: InboxOptions = {}) {
  const receiver = new Receiver(options, new EventChecker(undefined), false);
  const { inboxes, pending, services, subscriptions } = receiver;
  /** Dispatches events as a connection does. Returns whether it reads on. */
  const push = (events: EbsocketEvent[], bytes: number) => {
    receiver.onEvents(events, bytes, CHANNEL);
    inboxes.pauseIfFull(reader);
    return reader.isReading;
  };
  const reader = {
    isReading: true,
    pause: () => void (reader.isReading = false),
    resume: () => void (reader.isReading = true),
  };
  return { pending, subscriptions, inboxes, push, services, reader };
}

const events = (...names: string[]) => names.map((name) => new EbsocketEvent(name));
/** Reads some events of a service. */
async function read(service: AsyncGenerator<EbsocketEvent>, count: number): Promise<string> {
  const names: string[] = [];
  for (let i = 0; i < count; i++) names.push((await service.next()).value.event);
  return names.join(" ");
}

const namesOf = (inbox: { takeAll(): EbsocketEvent[] }) => {
  return inbox.takeAll().map(({ event }) => event).join(" ");
};

Deno.test("Receiver.onEvents() passes matching events to each service, and the rest to the inbox", async () => {
  const { inboxes, push, services } = start();
  const [stars, all] = [services.serve("a.*"), services.serve("a.>")];
  push(events("a.b", "x", "a.b.c", "a", "a.c"), 500);
  assertEquals(namesOf(inboxes.main), "x a");
  assertEquals(await read(stars, 2), "a.b a.c");
  assertEquals(await read(all, 3), "a.b a.b.c a.c");
  await all.return();
  push(events("a.b", "a.b.c"), 200);
  assertEquals(namesOf(inboxes.main), "a.b.c");
  assertEquals(await read(stars, 1), "a.b");
  await stars.return();
  push(events("a.b"), 100);
  assertEquals(namesOf(inboxes.main), "a.b");
});

Deno.test("Receiver.onEvents() passes replies to their pending requests first", async () => {
  const { push, pending, services } = start();
  const service = services.serve(">");
  const asker = new Asker(pending.nextId(), "ask", "them", () => {});
  pending.add(asker, Infinity);
  const answer = new EbsocketEvent("answer");
  const late = new EbsocketEvent("late");
  const strange = new EbsocketEvent("strange");
  answer.replyTo = late.replyTo = asker.id;
  strange.replyTo = "r1";
  push([answer, late, strange], 300);
  assertEquals(await read(service, 1), "strange");
  assertEquals(asker.bytes, 100);
  assertEquals(pending.size, 0);
});

Deno.test("Receiver.onEvents() drops events of ended subscriptions", async () => {
  const { inboxes, push, pending, subscriptions } = start();
  subscriptions.isOnline = true;
  subscriptions.begin(CHANNEL);
  const subscribing = subscriptions.subscribe(["a", "b"]);
  subscriptions.flush();
  pending.onReceipt({ id: JSON.parse(line).id });
  await subscribing;
  subscriptions.begin(CHANNEL); // The next relay sends everything at first.
  push(events("a", "c"), 2);
  assertEquals(namesOf(inboxes.main), "a");
  pending.failAll("it is over");
});

Deno.test("Receiver asks for no more while any inbox is full, and for more when none is", async () => {
  const { inboxes, push, services, reader } = start({ maxUnreadEvents: 2 });
  const service = services.serve("a");
  assert(push(events("a"), 1));
  assertFalse(push(events("a"), 1));
  assertStringIncludes(inboxes.readBlockedBy(), 'serve("a")');
  push(events("b", "b"), 2);
  assertEquals(await read(service, 2), "a a");
  assertFalse(reader.isReading);
  assertStringIncludes(inboxes.readBlockedBy(), "the inbox is full");
  inboxes.main.takeAll();
  assert(reader.isReading);
  assertEquals(inboxes.readBlockedBy(), "");
});

Deno.test("Receiver reads on when the full consumer has ended", async () => {
  const { inboxes, push, services, reader } = start({ maxUnreadEvents: 1 });
  const stop = new AbortController();
  const service = services.serve("a", { signal: stop.signal });
  assertFalse(push(events("a"), 1));
  stop.abort();
  assert(reader.isReading);
  assertEquals(inboxes.readBlockedBy(), "");
  assertEquals(await read(service, 1), "a"); // can still be read
  assert((await service.next()).done);
});

Deno.test("Receiver counts the bytes of lines where their events go", () => {
  const { push, services } = start({ maxUnreadBytes: 100 });
  services.serve("a");
  assert(push(events("a", "b", "b", "b"), 132));
  assertFalse(push(events("b"), 1));
});

Deno.test("Receiver finds the services of very many names", async () => {
  const { inboxes, push, services } = start();
  const service = services.serve("*.x");
  const names = Array.from({ length: 2500 }, (_, i) => i % 5 ? `${i}` : `${i}.x`);
  push(events(...names, ...names), 1);
  assertEquals(inboxes.main.length, 4000);
  assertEquals(await read(service, 2), "0.x 5.x");
});
