import { assertEquals } from "@std/assert/equals";
import { EventChecker } from "../../schema/checker.ts";
import { EbsocketEvent, type OpenEvents } from "../../protocol/event.ts";
import { SubscriptionManager } from "../../client/subscriptions.ts";
import { EventDispatcher, Service } from "../../client/dispatcher.ts";
import type { InboxOptions } from "../../net/inbox.ts";
import { InvalidEvents } from "../../client/invalid_events.ts";
import { PendingRequest, PendingRequests } from "../../client/pending_requests.ts";

/** Takes the first answer. */
class Asker extends PendingRequest {
  bytes = 0;

  override onAnswer(_answer: EbsocketEvent, bytes: number): boolean {
    this.bytes = bytes;
    return true;
  }

  fail(): void {}
}

function start(options: InboxOptions = {}) {
  let rooms = 0;
  const table = new PendingRequests();
  const subscriptions = new SubscriptionManager(table, {
    isOpen: () => true,
    connecting: () => null,
    readBlockedBy: () => "",
    onRefuse: () => {},
  });
  const invalidEvents = new InvalidEvents(new EventChecker(undefined));
  const dispatcher = new EventDispatcher<OpenEvents>(
    options,
    table,
    subscriptions,
    invalidEvents,
    () => rooms++,
  );
  const serve = (pattern: string) => {
    const service = new Service<OpenEvents>(pattern, dispatcher.makeInbox());
    dispatcher.attach(service);
    return service;
  };
  return { table, subscriptions, dispatcher, serve, rooms: () => rooms };
}

const events = (...names: string[]) => names.map((name) => new EbsocketEvent(name));
const namesOf = (inbox: { takeAll(): EbsocketEvent[] }) => {
  return inbox.takeAll().map(({ event }) => event).join(" ");
};

Deno.test("EventDispatcher.push() gives each service what it matches, and the inbox the rest", () => {
  const { dispatcher, serve } = start();
  const [stars, all] = [serve("a.*"), serve("a.>")];
  dispatcher.push(events("a.b", "x", "a.b.c", "a", "a.c"), 500);
  assertEquals(namesOf(dispatcher.inbox), "x a");
  assertEquals(namesOf(stars.inbox), "a.b a.c");
  assertEquals(namesOf(all.inbox), "a.b a.b.c a.c");
  dispatcher.detach(all);
  dispatcher.push(events("a.b", "a.b.c"), 200);
  assertEquals([namesOf(dispatcher.inbox), namesOf(all.inbox)], ["a.b.c", ""]);
  dispatcher.detach(stars);
  dispatcher.push(events("a.b"), 100);
  assertEquals(namesOf(dispatcher.inbox), "a.b");
});

Deno.test("EventDispatcher.push() gives answers to who waits, before all else", () => {
  const { dispatcher, table, serve } = start();
  const service = serve(">");
  const asker = new Asker(table.nextId(), "ask", "them");
  table.add(asker, Infinity);
  const answer = new EbsocketEvent("answer");
  const late = new EbsocketEvent("late");
  const strange = new EbsocketEvent("strange");
  answer.replyTo = late.replyTo = asker.id;
  strange.replyTo = "r1";
  dispatcher.push([answer, late, strange], 300);
  assertEquals([namesOf(service.inbox), asker.bytes, table.size], ["strange", 100, 0]);
});

Deno.test("EventDispatcher.push() drops what nobody wants any more", async () => {
  const { dispatcher, table, subscriptions } = start();
  let line = "";
  const channel = {
    isGreeted: true,
    hasEnded: false,
    maxLineBytes: Infinity,
    has: () => true,
    tell: (bytes: Uint8Array) => void (line = new TextDecoder().decode(bytes)),
  };
  subscriptions.begin(channel);
  const subscribing = subscriptions.subscribe(["a", "b"]);
  subscriptions.flush();
  table.receipt({ id: JSON.parse(line).id });
  await subscribing;
  subscriptions.begin(channel); // The next relay sends everything at first.
  dispatcher.push(events("a", "c"), 2);
  assertEquals(namesOf(dispatcher.inbox), "a");
  table.failAll("it is over");
});

Deno.test("EventDispatcher asks for no more while any inbox is full, and for more when none is", () => {
  const { dispatcher, serve, rooms } = start({ maxUnreadEvents: 2 });
  const service = serve("a");
  assertEquals(dispatcher.push(events("a"), 1), true);
  assertEquals(
    [dispatcher.push(events("a"), 1), dispatcher.readBlockedBy().includes('serve("a")')],
    [
      false,
      true,
    ],
  );
  dispatcher.push(events("b", "b"), 2);
  service.inbox.takeAll();
  assertEquals([rooms(), dispatcher.readBlockedBy().startsWith("the inbox is full")], [0, true]);
  dispatcher.inbox.takeAll();
  assertEquals([rooms(), dispatcher.readBlockedBy()], [1, ""]);
});

Deno.test("EventDispatcher reads on when what is full has ended", () => {
  const { dispatcher, serve, rooms } = start({ maxUnreadEvents: 1 });
  const service = serve("a");
  dispatcher.push(events("a"), 1);
  dispatcher.detach(service);
  assertEquals([rooms(), dispatcher.readBlockedBy(), service.inbox.ended], [1, "", true]);
  assertEquals(namesOf(service.inbox), "a"); // can still be read
});

Deno.test("EventDispatcher counts what the lines had where they go", () => {
  const { dispatcher, serve } = start({ maxUnreadBytes: 100 });
  serve("a");
  assertEquals(dispatcher.push(events("a", "b", "b", "b"), 132), true);
  assertEquals(dispatcher.push(events("b"), 1), false);
});

Deno.test("EventDispatcher finds who serves any of very many names", () => {
  const { dispatcher, serve } = start();
  const service = serve("*.x");
  const names = Array.from({ length: 2500 }, (_, i) => i % 5 ? `${i}` : `${i}.x`);
  dispatcher.push(events(...names, ...names), 1);
  assertEquals([service.inbox.length, dispatcher.inbox.length], [1000, 4000]);
});
