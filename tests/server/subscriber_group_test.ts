import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { Member, SubscriberGroup } from "../../server/subscriber_group.ts";
import { blockOf } from "../support/bytes.ts";
import { FakeRecipient } from "../support/routes.ts";

const A = '{"event":"a"}\n';
const B = ' { "event":"b"}\n';

/** An group of `count` clients. */
function groupOf(count: number) {
  const group = new SubscriberGroup<FakeRecipient>();
  const members = Array.from(
    { length: count },
    (_, i) => new Member(new FakeRecipient(i + 1), group),
  );
  for (const member of members) group.members.add(member);
  return { group, members, recipients: members.map(({ recipient }) => recipient) };
}

Deno.test("SubscriberGroup.flush() sends the same buffer to all members", () => {
  const { group, recipients } = groupOf(2);
  const block = blockOf(A + B + A);
  group.add(block, 0, A.length, 1);
  group.add(block, A.length + B.length, block.bytes.length, 1);
  const queued: number[] = [];
  group.flush(({ id }) => void queued.push(id));
  assertEquals(recipients.map(({ text }) => text), [A + A, A + A]);
  assertStrictEquals(recipients[0]!.pieces[0], recipients[1]!.pieces[0]);
  assertEquals(queued, [1, 2]);
  assertEquals(recipients.map(({ eventsOut }) => eventsOut), [2, 2]);
  group.flush(() => queued.push(0));
  assertEquals(queued, [1, 2]);
});

Deno.test("SubscriberGroup.flush() skips the member that is left out, and counts open members", () => {
  const { group, members, recipients } = groupOf(4);
  const batch = group.batch();
  const own = group.batchOf(members[3]!);
  recipients[1]!.open = false;
  group.add(blockOf(A), 0, A.length, 1, members[0]!);
  group.addFor(members[3]!, blockOf(B), 0, B.length);
  assert(group.isAwaited);
  group.flush(() => {});
  assertEquals(recipients.map(({ text }) => text), ["", "", A, A + B]);
  assertEquals(batch.accepted, 3);
  assertEquals(own.accepted, 1);
  assertFalse(group.isAwaited);
  assertEquals(recipients.map(({ eventsOut }) => eventsOut), [0, 0, 1, 2]);
});

Deno.test("SubscriberGroup.flush() looks at no member but the one that a line is for", () => {
  const { group, members, recipients } = groupOf(1000);
  let seen = 0;
  Object.defineProperty(group.members, Symbol.iterator, {
    *value(this: Set<unknown>) {
      for (const member of this.values()) {
        seen++;
        yield member;
      }
    },
  });
  const own = group.batchOf(members[7]!);
  group.addFor(members[7]!, blockOf(A), 0, A.length);
  const queued: number[] = [];
  group.flush(({ id }) => void queued.push(id));
  assertEquals(recipients[7]!.text, A);
  assertEquals(own.accepted, 1);
  assertEquals(queued, [8]);
  assertEquals(seen, 0);
  group.add(blockOf(B), 0, B.length, 1);
  group.flush(() => {});
  assertEquals(recipients[7]!.text, A + B);
  assertEquals(recipients[8]!.text, B);
  assertEquals(seen, 1000);
});

Deno.test("SubscriberGroup.flush() numbers events from the count of each member, in the first place of a line", () => {
  const { group, members: [one], recipients } = groupOf(2);
  one!.isNumbered = true;
  recipients[0]!.eventsOut = 41;
  const block = blockOf(A + B);
  group.add(block, 0, block.bytes.length, 2);
  group.add(block, 0, A.length, 1);
  group.flush(() => {});
  group.add(block, 0, A.length, 1);
  group.flush(() => {});
  assertEquals(recipients.map(({ text }) => text), [
    '{"seq":42,"event":"a"}\n {"seq":43, "event":"b"}\n{"seq":44,"event":"a"}\n' +
    '{"seq":45,"event":"a"}\n',
    A + B + A + A,
  ]);
});

Deno.test("SubscriberGroup.flush() numbers events for a single member, and skips events that it does not receive", () => {
  const { group, members, recipients } = groupOf(2);
  for (const member of members) member.isNumbered = true;
  const block = blockOf(A + B);
  group.add(block, 0, A.length, 1, members[0]!);
  group.addFor(members[1]!, block, A.length, block.bytes.length);
  group.add(block, 0, A.length, 1);
  group.flush(() => {});
  assertEquals(recipients.map(({ text }) => text), [
    '{"seq":1,"event":"a"}\n',
    '{"seq":1,"event":"a"}\n {"seq":2, "event":"b"}\n{"seq":3,"event":"a"}\n',
  ]);
});

Deno.test("SubscriberGroup.flush() shares a long line with members that get lines of their own", () => {
  const { group, members, recipients } = groupOf(100);
  const block = blockOf(`{"event":"long","__dict__":{"text":"${"x".repeat(10_000)}"}}\n${B}${A}`);
  const end = block.bytes.length - A.length;
  group.add(block, 0, end - B.length, 1);
  for (const member of members.slice(1)) group.addFor(member, block, end - B.length, end);
  group.add(block, end, block.bytes.length, 1, members[0]!);
  group.flush(() => {});
  const buffers = new Set(recipients.map(({ pieces: [long] }) => long!.buffer));
  assertEquals(buffers.size, 1);
  const copied = recipients.flatMap(({ pieces }) => pieces.slice(1).map(({ length }) => length));
  assertEquals(copied.reduce((sum, length) => sum + length), 99 * (A.length + B.length));
});
