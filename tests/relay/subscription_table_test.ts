import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
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

Deno.test("SubscriptionTable has one for all clients with the same subscriptions, however they came to them", () => {
  const { groups, subscribers: [one, two, three] } = setUp(3);
  wish(groups, one!, ["a", "b"]);
  wish(groups, two!, ["b"]);
  wish(groups, two!, ["a"]);
  wish(groups, three!, ["a"]);
  assertEquals(one!.group === two!.group, true);
  assertEquals(one!.subscriptions === two!.subscriptions, true);
  assertEquals(one!.group === three!.group, false);
  assertEquals([reached(groups, "a"), reached(groups, "b")], [[1, 2, 3], [1, 2]]);
});

Deno.test("SubscriptionTable knows those that hear everything, as a whole", () => {
  const { groups, subscribers: [one, two] } = setUp(2);
  assertEquals([groups.isIdle, groups.everything.members.size], [true, 2]);
  wish(groups, one!, []);
  assertEquals([groups.isIdle, groups.everything.members.size], [true, 1]);
  wish(groups, one!, ["a"]);
  wish(groups, two!, ["a", ">"]);
  assertEquals([groups.isIdle, groups.everything.members.size], [false, 1]);
  wish(groups, one!, [">"]);
  assertEquals([groups.isIdle, groups.everything.members.size], [true, 2]);
  wish(groups, one!, [">"], { control: "unsubscribe" });
  assertEquals([groups.isIdle, reached(groups, "a")], [false, [1]]);
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
  assertEquals([three!.isNumbered, three!.group === groups.everything], [true, true]);
});

Deno.test("SubscriptionTable.generation changes when an event may reach others, not when a group grows", () => {
  const { groups, subscribers: [one, two] } = setUp(2);
  const changes = (change: () => void): boolean => {
    const before = groups.generation;
    change();
    return groups.generation !== before;
  };
  assertEquals(changes(() => wish(groups, one!, [])), false);
  assertEquals(changes(() => wish(groups, one!, ["a"])), true);
  assertEquals(changes(() => wish(groups, two!, ["a"])), false);
  assertEquals(changes(() => groups.leave(two!)), false);
  assertEquals(changes(() => groups.leave(one!)), true);
  assertEquals(changes(() => groups.join(new FakeRecipient(9))), false);
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
    assertEquals([groups.isIdle, groups.everything.members.size], [true, 0]);
  }));
});

Deno.test("SubscriptionTable take no longer for patterns and queues that look like integers", () => {
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
  assertEquals(isWrong, false);
});

Deno.test("SubscriptionTable finds whom a new name reaches in little time, whatever wildcards clients have", () => {
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
