import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { SubscriberGroup } from "../../server/subscriber_group.ts";
import { Queue, Subscriber } from "../../relay/subscription_table.ts";
import { RoundRobin } from "../../relay/route_cache.ts";
import { blockOf } from "../support/bytes.ts";
import { FakeRecipient } from "../support/routes.ts";

function setUp(count: number, first = 0) {
  const recipients = Array.from({ length: count }, (_, i) => new FakeRecipient(i));
  const groups = recipients.map((recipient) => {
    const group = new SubscriberGroup<FakeRecipient>();
    group.members.add(new Subscriber(recipient, group));
    return group;
  });
  const turns = new RoundRobin(new Queue("q"), groups, first);
  const take = (left: number | null = null) => {
    const group = turns.take(left === null ? null : groups[left]!);
    return group && groups.indexOf(group);
  };
  return { groups, recipients, take };
}

Deno.test("RoundRobin.take() goes round, beginning anywhere", () => {
  const { take } = setUp(3, 7);
  assertEquals([take(), take(), take(), take()], [1, 2, 0, 1]);
});

Deno.test("RoundRobin.take() skips the member that is left out, and members that have left", () => {
  const { recipients, take } = setUp(3);
  assertEquals(take(0), 1);
  assertEquals(take(2), 0);
  recipients[1]!.open = false;
  assertEquals([take(), take(), take(2)], [2, 0, 0]);
  recipients[0]!.open = false;
  assertStrictEquals(take(2), null);
  assertEquals(take(), 2);
});

Deno.test("RoundRobin.take() skips members with pending bytes while another has none", () => {
  const { recipients, take } = setUp(3);
  recipients[0]!.pendingBytes = 5;
  assertEquals([take(), take(), take(), take()], [1, 2, 1, 2]);
});

Deno.test("RoundRobin.take() returns the member with the fewest pending bytes if all have some", () => {
  const { groups, recipients, take } = setUp(3);
  recipients.forEach((recipient, i) => recipient.pendingBytes = 1000 * (3 - i));
  const line = blockOf("x".repeat(999) + "\n");
  for (let i = 0; i < 6; i++) groups[take()!]!.add(line, 0, line.bytes.length, 1);
  const waiting = groups.map((each, i) => each.size + recipients[i]!.pendingBytes);
  assertEquals(waiting, [4000, 4000, 4000]);
});
