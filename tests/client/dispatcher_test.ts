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
  const hearing = new SubscriptionManager(table, {
    isOpen: () => true,
    connecting: () => null,
    readBlockedBy: () => "",
    onRefuse: () => {},
  });
  const invalidEvents = new InvalidEvents(new EventChecker(undefined));
  const incoming = new EventDispatcher<OpenEvents>(
    options,
    table,
    hearing,
    invalidEvents,
    () => rooms++,
  );
  const serve = (pattern: string) => {
    const service = new Service<OpenEvents>(pattern, incoming.makeInbox());
    incoming.attach(service);
    return service;
  };
  return { table, hearing, incoming, serve, rooms: () => rooms };
}

const events = (...names: string[]) => names.map((name) => new EbsocketEvent(name));
const namesOf = (inbox: { takeAll(): EbsocketEvent[] }) => {
  return inbox.takeAll().map(({ event }) => event).join(" ");
};

Deno.test("Incoming.push() gives each service what it matches, and the inbox the rest", () => {
  const { incoming, serve } = start();
  const [stars, all] = [serve("a.*"), serve("a.>")];
  incoming.push(events("a.b", "x", "a.b.c", "a", "a.c"), 500);
  assertEquals(namesOf(incoming.inbox), "x a");
  assertEquals(namesOf(stars.inbox), "a.b a.c");
  assertEquals(namesOf(all.inbox), "a.b a.b.c a.c");
  incoming.detach(all);
  incoming.push(events("a.b", "a.b.c"), 200);
  assertEquals([namesOf(incoming.inbox), namesOf(all.inbox)], ["a.b.c", ""]);
  incoming.detach(stars);
  incoming.push(events("a.b"), 100);
  assertEquals(namesOf(incoming.inbox), "a.b");
});

Deno.test("Incoming.push() gives answers to who waits, before all else", () => {
  const { incoming, table, serve } = start();
  const service = serve(">");
  const asker = new Asker(table.nextId(), "ask", "them");
  table.add(asker, Infinity);
  const answer = new EbsocketEvent("answer");
  const late = new EbsocketEvent("late");
  const strange = new EbsocketEvent("strange");
  answer.replyTo = late.replyTo = asker.id;
  strange.replyTo = "r1";
  incoming.push([answer, late, strange], 300);
  assertEquals([namesOf(service.inbox), asker.bytes, table.size], ["strange", 100, 0]);
});

Deno.test("Incoming.push() drops what nobody wants any more", async () => {
  const { incoming, table, hearing } = start();
  let line = "";
  const carrier = {
    isGreeted: true,
    hasEnded: false,
    maxLineBytes: Infinity,
    has: () => true,
    tell: (bytes: Uint8Array) => void (line = new TextDecoder().decode(bytes)),
  };
  hearing.begin(carrier);
  const subscribing = hearing.subscribe(["a", "b"]);
  hearing.flush();
  table.receipt({ id: JSON.parse(line).id });
  await subscribing;
  hearing.begin(carrier); // The next relay sends everything at first.
  incoming.push(events("a", "c"), 2);
  assertEquals(namesOf(incoming.inbox), "a");
  table.failAll("it is over");
});

Deno.test("Incoming asks for no more while any inbox is full, and for more when none is", () => {
  const { incoming, serve, rooms } = start({ maxUnreadEvents: 2 });
  const service = serve("a");
  assertEquals(incoming.push(events("a"), 1), true);
  assertEquals([incoming.push(events("a"), 1), incoming.readBlockedBy().includes('serve("a")')], [
    false,
    true,
  ]);
  incoming.push(events("b", "b"), 2);
  service.inbox.takeAll();
  assertEquals([rooms(), incoming.readBlockedBy().startsWith("the inbox is full")], [0, true]);
  incoming.inbox.takeAll();
  assertEquals([rooms(), incoming.readBlockedBy()], [1, ""]);
});

Deno.test("Incoming reads on when what is full has ended", () => {
  const { incoming, serve, rooms } = start({ maxUnreadEvents: 1 });
  const service = serve("a");
  incoming.push(events("a"), 1);
  incoming.detach(service);
  assertEquals([rooms(), incoming.readBlockedBy(), service.inbox.ended], [1, "", true]);
  assertEquals(namesOf(service.inbox), "a"); // can still be read
});

Deno.test("Incoming counts what the lines had where they go", () => {
  const { incoming, serve } = start({ maxUnreadBytes: 100 });
  serve("a");
  assertEquals(incoming.push(events("a", "b", "b", "b"), 132), true);
  assertEquals(incoming.push(events("b"), 1), false);
});

Deno.test("Incoming finds who serves any of very many names", () => {
  const { incoming, serve } = start();
  const service = serve("*.x");
  const names = Array.from({ length: 2500 }, (_, i) => i % 5 ? `${i}` : `${i}.x`);
  incoming.push(events(...names, ...names), 1);
  assertEquals([service.inbox.length, incoming.inbox.length], [1000, 4000]);
});
