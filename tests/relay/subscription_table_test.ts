import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertLess } from "@std/assert/less";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import type { Subscriber } from "../../relay/subscription_table.ts";
import { SubscriptionTable } from "../../relay/subscription_table.ts";
import { matches } from "../../protocol/pattern.ts";
import { MAX_WILDCARD_PLACES } from "../../relay/subscriptions.ts";
import { assertNoDearer } from "../support/collisions.ts";
import { FakeRecipient } from "../support/routes.ts";

function setUp(count: number) {
  const groups = new SubscriptionTable<FakeRecipient>();
  const subscribers = Array.from(
    { length: count },
    (_, i) => groups.join(new FakeRecipient(i + 1)),
  );
  return { groups, subscribers };
}

type Clients = Subscriber<FakeRecipient>;

function wish(
  groups: SubscriptionTable<FakeRecipient>,
  subscriber: Clients,
  events: string[],
  { queue, control = "subscribe" }: { queue?: string; control?: "subscribe" | "unsubscribe" } = {},
): void {
  const request = { control, events, ...(queue !== undefined && { queue }) };
  groups.move(subscriber, subscriber.subscriptions.after(request), subscriber.isNumbered);
}

/** The numbers of the clients that are reached beside those that hear everything. */
function reached(groups: SubscriptionTable<FakeRecipient>, name: string): number[] {
  const { groups: plain } = groups.reach(name);
  return plain.flatMap(({ members }) => [...members].map(({ recipient }) => recipient.id)).sort();
}

Deno.test("SubscriptionTable has one group for all clients with the same subscriptions, however they got them", () => {
  const { groups, subscribers: [one, two, three] } = setUp(3);
  wish(groups, one!, ["a", "b"]);
  wish(groups, two!, ["b"]);
  wish(groups, two!, ["a"]);
  wish(groups, three!, ["a"]);
  assertStrictEquals(one!.group, two!.group);
  assertStrictEquals(one!.subscriptions, two!.subscriptions);
  assertNotStrictEquals(one!.group, three!.group);
  assertEquals(reached(groups, "a"), [1, 2, 3]);
  assertEquals(reached(groups, "b"), [1, 2]);
});

Deno.test("SubscriptionTable has one group for all clients that receive everything", () => {
  const { groups, subscribers: [one, two] } = setUp(2);
  assert(groups.isIdle);
  assertEquals(groups.everything.members.size, 2);
  wish(groups, one!, []);
  assert(groups.isIdle);
  assertEquals(groups.everything.members.size, 1);
  wish(groups, one!, ["a"]);
  wish(groups, two!, ["a", ">"]);
  assertFalse(groups.isIdle);
  assertEquals(groups.everything.members.size, 1);
  wish(groups, one!, [">"]);
  assert(groups.isIdle);
  assertEquals(groups.everything.members.size, 2);
  wish(groups, one!, [">"], { control: "unsubscribe" });
  assertFalse(groups.isIdle);
  assertEquals(reached(groups, "a"), [1]);
});

Deno.test("SubscriptionTable keeps a client of a queue apart, and not one with numbers", () => {
  const { groups, subscribers: [one, two, three] } = setUp(3);
  wish(groups, one!, ["a.*"], { queue: "q" });
  wish(groups, two!, ["*.b"], { queue: "q" });
  wish(groups, two!, ["a.b"], { queue: "p" });
  groups.move(three!, three!.subscriptions, true);
  const { groups: plain, queues } = groups.reach("a.b");
  assertEquals(plain, []);
  assertEquals([...queues.values()].map((each) => each.length).sort(), [1, 2]);
  assert(three!.isNumbered);
  assertStrictEquals(three!.group, groups.everything);
});

Deno.test("SubscriptionTable.generation changes when an event may reach others, not when a group grows", () => {
  const { groups, subscribers: [one, two] } = setUp(2);
  const changes = (change: () => void): boolean => {
    const before = groups.generation;
    change();
    return groups.generation !== before;
  };
  assertFalse(changes(() => wish(groups, one!, [])));
  assert(changes(() => wish(groups, one!, ["a"])));
  assertFalse(changes(() => wish(groups, two!, ["a"])));
  assertFalse(changes(() => groups.leave(two!)));
  assert(changes(() => groups.leave(one!)));
  assertFalse(changes(() => groups.join(new FakeRecipient(9))));
});

Deno.test("SubscriptionTable reaches whom comparing with every pattern of every client reaches", () => {
  const pattern = fc.constantFrom("a", "b", "*", ">", "a.*", "a.>", "*.b", "a.b");
  const step = fc.record({
    client: fc.nat(4),
    control: fc.constantFrom("subscribe" as const, "unsubscribe" as const),
    events: fc.array(pattern, { maxLength: 3 }),
    queue: fc.option(fc.constantFrom("q", "p"), { nil: undefined }),
    isNumbered: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
    const { groups, subscribers } = setUp(5);
    for (const { client, isNumbered, queue, ...request } of steps) {
      const subscriber = subscribers[client]!;
      const after = subscriber.subscriptions.after({ ...request, ...(queue && { queue }) });
      groups.move(subscriber, after, isNumbered);
    }
    for (const name of ["a", "b", "c", "a.b", "a.c", "b.b"]) {
      const plain = [...groups.everything.members].map(({ recipient }) => recipient.id);
      plain.push(...reached(groups, name));
      const expected = subscribers.filter(({ subscriptions }) =>
        !subscriptions.isNarrowed ||
        [...subscriptions].some(([pattern, queue]) => queue === "" && matches(pattern, name))
      );
      assertEquals(plain.sort(), expected.map(({ recipient }) => recipient.id).sort(), name);
      const queued = [...groups.reach(name).queues.values()].flat().length;
      const pairs = subscribers.flatMap(({ subscriptions }) =>
        ["q", "p"].filter((name_) =>
          [...subscriptions].some(([pattern, queue]) => queue === name_ && matches(pattern, name))
        )
      );
      assertEquals(queued, pairs.length, name);
    }
    for (const subscriber of subscribers) groups.leave(subscriber);
    assert(groups.isIdle);
    assertEquals(groups.everything.members.size, 0);
  }));
});

Deno.test("SubscriptionTable is as fast with patterns and queues that look like integers", () => {
  let isWrong = false;
  assertNoDearer(8000, (texts) => {
    const { groups, subscribers } = setUp(8);
    subscribers.forEach((subscriber, i) => {
      const some = texts.slice(1000 * i, 1000 * (i + 1));
      wish(groups, subscriber, some);
      for (const queue of some.slice(0, 100)) wish(groups, subscriber, ["x"], { queue });
    });
    for (const text of texts) isWrong ||= groups.reach(text).groups.length !== 1;
  });
  assertFalse(isWrong);
});

Deno.test("SubscriptionTable finds the recipients of a new name fast, whatever wildcards clients use", () => {
  const { groups, subscribers } = setUp(60);
  let kept = 0;
  subscribers.forEach((subscriber, client) => {
    // All of them match, and no two clients have one in common, until a client may have no more.
    for (let i = 0; i < 1000; i++) {
      const bits = (1000 * client + i).toString(2).padStart(16, "0");
      const pattern = `${bits.replaceAll("0", "a.").replaceAll("1", "*.")}>`;
      const after = subscriber.subscriptions.after({ control: "subscribe", events: [pattern] });
      if (after.places > MAX_WILDCARD_PLACES) return;
      groups.move(subscriber, after, false);
      kept++;
    }
  });
  assertLess(kept, 60 * MAX_WILDCARD_PLACES);
  const start = performance.now();
  for (let i = 0; i < 500; i++) {
    assertEquals(groups.reach(`${"a.".repeat(16)}${i}`).groups.length, 60);
  }
  // It takes 0.05 s. With all thousand patterns of each client it would take more than ten.
  assertLess(performance.now() - start, 3000);
});

Deno.test("SubscriptionTable.countHearers() counts all subscribers once, and one of each queue", () => {
  const { groups, subscribers } = setUp(8);
  const [, one, two, three, four, five, six, seven] = subscribers as Clients[];
  assertEquals(groups.countHearers("a.b"), { hearers: 8, steps: 0 });
  wish(groups, one!, ["a.*", "a.b"]);
  wish(groups, two!, ["a.*", "a.b"]);
  wish(groups, three!, ["a.>"], { queue: "q" });
  wish(groups, four!, ["a.>"], { queue: "q" });
  wish(groups, five!, ["a.>"], { queue: "r" });
  wish(groups, six!, ["b"]);
  wish(groups, seven!, []);
  assertEquals(groups.countHearers("a.b"), { hearers: 1 + 2 + 2, steps: 1 + 3 });
  assertEquals(groups.countHearers("x").hearers, 1);
  groups.leave(subscribers[0]!);
  assertEquals(groups.countHearers("x"), { hearers: 0, steps: 0 });
});

Deno.test("SubscriptionTable.largestQueues() counts the clients of each queue", () => {
  const { groups, subscribers } = setUp(4);
  const [one, two, three, four] = subscribers as Clients[];
  assertEquals(groups.largestQueues(2), []);
  wish(groups, one!, ["a"], { queue: "small" });
  wish(groups, two!, ["a", "b"], { queue: "large" });
  wish(groups, three!, ["a"], { queue: "large" });
  wish(groups, four!, ["a"], { queue: "gone" });
  groups.leave(four!);
  const found = [{ name: "large", members: 2 }, { name: "small", members: 1 }];
  assertEquals(groups.largestQueues(2), found);
  assertEquals(groups.largestQueues(1), found.slice(0, 1));
});
