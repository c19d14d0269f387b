import { assertEquals } from "@std/assert/equals";
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
  const receiver = new Receiver(options, new EventChecker(undefined));
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

Deno.test("Receiver.onEvents() gives each service what it matches, and the inbox the rest", async () => {
  const { inboxes, push, services } = start();
  const [stars, all] = [services.serve("a.*"), services.serve("a.>")];
  push(events("a.b", "x", "a.b.c", "a", "a.c"), 500);
  assertEquals(namesOf(inboxes.main), "x a");
  assertEquals(await read(stars, 2), "a.b a.c");
  assertEquals(await read(all, 3), "a.b a.b.c a.c");
  await all.return();
  push(events("a.b", "a.b.c"), 200);
  assertEquals([namesOf(inboxes.main), await read(stars, 1)], ["a.b.c", "a.b"]);
  await stars.return();
  push(events("a.b"), 100);
  assertEquals(namesOf(inboxes.main), "a.b");
});

Deno.test("Receiver.onEvents() gives answers to who waits, before all else", async () => {
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
  assertEquals([await read(service, 1), asker.bytes, pending.size], ["strange", 100, 0]);
});

Deno.test("Receiver.onEvents() drops what nobody wants any more", async () => {
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
  assertEquals(push(events("a"), 1), true);
  assertEquals(push(events("a"), 1), false);
  assertStringIncludes(inboxes.readBlockedBy(), 'serve("a")');
  push(events("b", "b"), 2);
  assertEquals(await read(service, 2), "a a");
  assertEquals(reader.isReading, false);
  assertStringIncludes(inboxes.readBlockedBy(), "the inbox is full");
  inboxes.main.takeAll();
  assertEquals([reader.isReading, inboxes.readBlockedBy()], [true, ""]);
});

Deno.test("Receiver reads on when what is full has ended", async () => {
  const { inboxes, push, services, reader } = start({ maxUnreadEvents: 1 });
  const stop = new AbortController();
  const service = services.serve("a", { signal: stop.signal });
  assertEquals(push(events("a"), 1), false);
  stop.abort();
  assertEquals([reader.isReading, inboxes.readBlockedBy()], [true, ""]);
  assertEquals(await read(service, 1), "a"); // can still be read
  assertEquals((await service.next()).done, true);
});

Deno.test("Receiver counts what the lines had where they go", () => {
  const { push, services } = start({ maxUnreadBytes: 100 });
  services.serve("a");
  assertEquals(push(events("a", "b", "b", "b"), 132), true);
  assertEquals(push(events("b"), 1), false);
});

Deno.test("Receiver finds who serves any of very many names", async () => {
  const { inboxes, push, services } = start();
  const service = services.serve("*.x");
  const names = Array.from({ length: 2500 }, (_, i) => i % 5 ? `${i}` : `${i}.x`);
  push(events(...names, ...names), 1);
  assertEquals(inboxes.main.length, 4000);
  assertEquals(await read(service, 2), "0.x 5.x");
});
