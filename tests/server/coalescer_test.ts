import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { Member, SubscriberGroup } from "../../server/subscriber_group.ts";
import { WriteCoalescer } from "../../server/coalescer.ts";
import { blockOf } from "../support/bytes.ts";
import { pretendWritesTake } from "../support/turns.ts";
import { FakeRecipient } from "../support/routes.ts";
import { until } from "../support/waiting.ts";

const A = '{"event":"a"}\n';
const B = '{"event":"b"}\n';
const LONG = "x".repeat(99_999) + "\n";

function setUp({ maxBatchDelay = 20, maxPendingBytes = Infinity } = {}) {
  const coalescer = new WriteCoalescer<FakeRecipient>({
    maxBatchDelay,
    maxPendingBytes,
    onQueued: () => {},
    onFlushed: () => {},
  });
  let lastId = 0;
  const groupOf = (count: number) => {
    const group = new SubscriberGroup<FakeRecipient>();
    for (let i = 0; i < count; i++) {
      group.members.add(new Member(new FakeRecipient(++lastId), group));
    }
    return group;
  };
  const add = (
    group: SubscriberGroup<FakeRecipient>,
    text: string,
    left: Member<FakeRecipient> | null = null,
  ) => coalescer.add(group, blockOf(text), 0, text.length, 1, left);
  const publisher = new Member(new FakeRecipient(++lastId), groupOf(0));
  return { add, groupOf, coalescer, publisher };
}

function texts({ members }: SubscriberGroup<FakeRecipient>): string[] {
  return [...members].map(({ recipient }) => recipient.text);
}

Deno.test("WriteCoalescer flushes everything at the end of a block that nothing follows", () => {
  const { add, groupOf, coalescer, publisher } = setUp();
  const group = groupOf(2);
  add(group, A);
  assertEquals(texts(group), ["", ""]);
  coalescer.endBlock(publisher, false);
  assertEquals(texts(group), [A, A]);
});

Deno.test("WriteCoalescer keeps a small batch while more comes, and flushes a large one", () => {
  const { add, groupOf, coalescer, publisher } = setUp();
  const [small, large] = [groupOf(1), groupOf(1)];
  add(small, A);
  add(large, LONG);
  coalescer.endBlock(publisher, true);
  assertEquals(texts(small), [""]);
  assertEquals(texts(large), [LONG]);
  add(small, B);
  coalescer.endBlock(publisher, false);
  assertEquals(texts(small), [A + B]);
  assertEquals([...small.members][0]!.recipient.pieces.length, 1);
});

Deno.test("WriteCoalescer keeps less where less may wait for a client", () => {
  const { add, groupOf, coalescer, publisher } = setUp({ maxPendingBytes: 80 });
  const group = groupOf(1);
  add(group, A);
  coalescer.endBlock(publisher, true);
  assertEquals(texts(group), [A]);
});

Deno.test("WriteCoalescer flushes kept lines after a moment, whatever happens", async () => {
  const { add, groupOf, coalescer, publisher } = setUp();
  const group = groupOf(1);
  add(group, A);
  coalescer.endBlock(publisher, true);
  await until(() => texts(group)[0] === A);
});

Deno.test("WriteCoalescer flushes the lines of a publisher that has no more, and not those of others", () => {
  const { add, groupOf, coalescer, publisher } = setUp();
  const other = new Member(new FakeRecipient(99), publisher.group);
  const [one, two] = [groupOf(1), groupOf(1)];
  add(one, A);
  coalescer.endBlock(publisher, true);
  add(two, B);
  coalescer.endBlock(other, false);
  assertEquals(texts(one), [""]);
  assertEquals(texts(two), [B]);
  coalescer.endBlock(publisher, false);
  assertEquals(texts(one), [A]);
});

Deno.test("WriteCoalescer does not keep blocks without end", () => {
  const { groupOf, coalescer, publisher } = setUp();
  const group = groupOf(1);
  const block = () => blockOf(A + "x".repeat(65_536 - A.length));
  let blocks = 0;
  while (texts(group)[0] === "" && blocks < 1000) {
    coalescer.add(group, block(), 0, A.length, 1, null);
    coalescer.endBlock(publisher, true);
    blocks++;
  }
  assertEquals(blocks, 129);
  coalescer.flushAll();
});

Deno.test("WriteCoalescer keeps lines for all and lines for one in order", () => {
  const { add, groupOf, coalescer, publisher } = setUp();
  const group = groupOf(3);
  const [one, two] = [...group.members];
  const line = blockOf('{"event":"to"}\n');
  add(group, A, two!);
  coalescer.addFor(one!, line, 0, line.bytes.length);
  coalescer.addFor(one!, line, 0, line.bytes.length);
  coalescer.addFor(two!, line, 0, line.bytes.length);
  add(group, B);
  add(group, B, one!);
  coalescer.endBlock(publisher, false);
  const to = '{"event":"to"}\n';
  assertEquals(texts(group), [A + to + to + B, to + B + B, A + B + B]);
});

Deno.test("WriteCoalescer.flush() flushes the lines of a group and those of a single member", () => {
  const { add, groupOf, coalescer, publisher } = setUp();
  const group = groupOf(2);
  const [one] = [...group.members];
  add(group, A);
  coalescer.flush(group);
  assertEquals(texts(group), [A, A]);
  coalescer.addFor(one!, blockOf(B), 0, B.length);
  coalescer.flush(group);
  assertEquals(texts(group), [A + B, A]);
  coalescer.endBlock(publisher, false);
});

Deno.test("WriteCoalescer gathers events while there is no time to write each on its own", async () => {
  const { add, groupOf, coalescer, publisher } = setUp({ maxBatchDelay: 1000 });
  const group = groupOf(40);
  const line = blockOf('{"event":"to"}\n');
  const give = (text: string) => {
    add(group, text);
    coalescer.endBlock(publisher, false);
  };
  pretendWritesTake(10);
  for (let i = 0; i < 3; i++) give(A);
  const [first, one] = texts(group);
  assertLess(first!.length, 3 * A.length);
  assertEquals(one, first);

  // What is for one client does not wait, and takes along what came before it.
  const { recipient } = [...group.members][0]!;
  coalescer.addFor([...group.members][0]!, line, 0, line.bytes.length);
  coalescer.endBlock(publisher, false);
  assertEquals(recipient.text, `${A.repeat(3)}{"event":"to"}\n`);
  give(B);
  assertEquals(texts(group)[1], first);
  await until(() => texts(group)[1] === A.repeat(3) + B);
  assertEquals(recipient.text, `${A.repeat(3)}{"event":"to"}\n${B}`);

  // What has to go out at once does.
  give(A);
  add(group, B);
  group.isUrgent = true;
  coalescer.endBlock(publisher, false);
  assertEquals(texts(group)[1], A.repeat(3) + B + A + B);
  pretendWritesTake(0.006);
});

Deno.test("WriteCoalescer gathers nothing where it may not", () => {
  const { add, groupOf, coalescer, publisher } = setUp({ maxBatchDelay: 0 });
  const group = groupOf(40);
  pretendWritesTake(1);
  for (let i = 0; i < 3; i++) {
    add(group, A);
    coalescer.endBlock(publisher, false);
  }
  assertEquals(texts(group)[0], A.repeat(3));
  pretendWritesTake(0.006);
});
