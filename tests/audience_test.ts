import { assertEquals } from "@std/assert/equals";
import { Audience, Listener } from "../audience.ts";
import { blockOf } from "./support/bytes.ts";
import { FakeRecipient } from "./support/routes.ts";

const A = '{"event":"a"}\n';
const B = ' { "event":"b"}\n';

/** An audience of `count` clients. */
function audienceOf(count: number) {
  const audience = new Audience<FakeRecipient>();
  const listeners = Array.from(
    { length: count },
    (_, i) => new Listener(new FakeRecipient(i + 1), audience),
  );
  for (const listener of listeners) audience.members.add(listener);
  return { audience, listeners, recipients: listeners.map(({ recipient }) => recipient) };
}

Deno.test("Audience.flush() gives all members the very same bytes", () => {
  const { audience, recipients } = audienceOf(2);
  const block = blockOf(A + B + A);
  audience.add(block, 0, A.length, 1);
  audience.add(block, A.length + B.length, block.bytes.length, 1);
  const queued: number[] = [];
  audience.flush(({ id }) => void queued.push(id));
  assertEquals(recipients.map(({ text }) => text), [A + A, A + A]);
  assertEquals(recipients[0]!.pieces[0] === recipients[1]!.pieces[0], true);
  assertEquals([queued, recipients.map(({ eventsOut }) => eventsOut)], [[1, 2], [2, 2]]);
  audience.flush(() => queued.push(0));
  assertEquals(queued, [1, 2]);
});

Deno.test("Audience.flush() passes by who is left out, and tells how many were open", () => {
  const { audience, listeners, recipients } = audienceOf(4);
  const batch = audience.batch();
  const own = audience.batchOf(listeners[3]!);
  recipients[1]!.open = false;
  audience.add(blockOf(A), 0, A.length, 1, listeners[0]!);
  audience.addFor(listeners[3]!, blockOf(B), 0, B.length);
  assertEquals(audience.isAwaited, true);
  audience.flush(() => {});
  assertEquals(recipients.map(({ text }) => text), ["", "", A, A + B]);
  assertEquals([batch.accepted, own.accepted, audience.isAwaited], [3, 1, false]);
  assertEquals(recipients.map(({ eventsOut }) => eventsOut), [0, 0, 1, 2]);
});

Deno.test("Audience.flush() looks at no member but the one that a line is for", () => {
  const { audience, listeners, recipients } = audienceOf(1000);
  let seen = 0;
  Object.defineProperty(audience.members, Symbol.iterator, {
    *value(this: Set<unknown>) {
      for (const member of this.values()) {
        seen++;
        yield member;
      }
    },
  });
  const own = audience.batchOf(listeners[7]!);
  audience.addFor(listeners[7]!, blockOf(A), 0, A.length);
  const queued: number[] = [];
  audience.flush(({ id }) => void queued.push(id));
  assertEquals([recipients[7]!.text, own.accepted, queued, seen], [A, 1, [8], 0]);
  audience.add(blockOf(B), 0, B.length, 1);
  audience.flush(() => {});
  assertEquals([recipients[7]!.text, recipients[8]!.text, seen], [A + B, B, 1000]);
});

Deno.test("Audience.flush() numbers events from what was queued for a member, in front of all else", () => {
  const { audience, listeners: [one], recipients } = audienceOf(2);
  one!.isNumbered = true;
  recipients[0]!.eventsOut = 41;
  const block = blockOf(A + B);
  audience.add(block, 0, block.bytes.length, 2);
  audience.add(block, 0, A.length, 1);
  audience.flush(() => {});
  audience.add(block, 0, A.length, 1);
  audience.flush(() => {});
  assertEquals(recipients.map(({ text }) => text), [
    '{"seq":42,"event":"a"}\n {"seq":43, "event":"b"}\n{"seq":44,"event":"a"}\n' +
    '{"seq":45,"event":"a"}\n',
    A + B + A + A,
  ]);
});

Deno.test("Audience.flush() numbers what a member gets alone, and not what it does not get", () => {
  const { audience, listeners, recipients } = audienceOf(2);
  for (const listener of listeners) listener.isNumbered = true;
  const block = blockOf(A + B);
  audience.add(block, 0, A.length, 1, listeners[0]!);
  audience.addFor(listeners[1]!, block, A.length, block.bytes.length);
  audience.add(block, 0, A.length, 1);
  audience.flush(() => {});
  assertEquals(recipients.map(({ text }) => text), [
    '{"seq":1,"event":"a"}\n',
    '{"seq":1,"event":"a"}\n {"seq":2, "event":"b"}\n{"seq":3,"event":"a"}\n',
  ]);
});

Deno.test("Audience.flush() shares a long line with members that get lines of their own", () => {
  const { audience, listeners, recipients } = audienceOf(100);
  const block = blockOf(`{"event":"long","__dict__":{"text":"${"x".repeat(10_000)}"}}\n${B}${A}`);
  const end = block.bytes.length - A.length;
  audience.add(block, 0, end - B.length, 1);
  for (const listener of listeners.slice(1)) audience.addFor(listener, block, end - B.length, end);
  audience.add(block, end, block.bytes.length, 1, listeners[0]!);
  audience.flush(() => {});
  const buffers = new Set(recipients.map(({ pieces: [long] }) => long!.buffer));
  assertEquals(buffers.size, 1);
  const copied = recipients.flatMap(({ pieces }) => pieces.slice(1).map(({ length }) => length));
  assertEquals(copied.reduce((sum, length) => sum + length), 99 * (A.length + B.length));
});
