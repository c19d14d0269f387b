import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import fc from "fast-check";
import { Inbox, InboxIterator } from "../../net/inbox.ts";
import { fuzzRuns } from "../support/lines.ts";
import { turn } from "../support/turns.ts";

function iterate(inbox: Inbox<number>): InboxIterator<number> {
  return new InboxIterator(inbox, () => inbox.claim("for await"));
}

function inboxOf(...items: number[]): Inbox<number> {
  const inbox = new Inbox<number>({}, () => {});
  inbox.push(items, items.length);
  return inbox;
}

/** Whether nobody reads the inbox. */
function isFree(inbox: Inbox<number>): boolean {
  try {
    inbox.claim("test")[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

Deno.test("InboxIterator iterates over unread and later items, up to the end", async () => {
  const inbox = inboxOf(1, 2);
  const items: number[] = [];
  const reading = (async () => {
    for await (const item of iterate(inbox)) items.push(item);
  })();
  await turn();
  assertEquals(items, [1, 2]);
  inbox.push([3], 1);
  await turn();
  inbox.push([4, 5], 2);
  inbox.end();
  await reading;
  assertEquals(items, [1, 2, 3, 4, 5]);
  assert(isFree(inbox));
});

Deno.test("InboxIterator claims the inbox at the call of the first next(), until the end", async () => {
  const inbox = inboxOf(1);
  const iterator = iterate(inbox);
  assert(isFree(inbox));
  const first = iterator.next();
  assertThrows(() => inbox.claim("pump()"), TypeError, "for await is reading already");
  assertEquals(await first, { done: false, value: 1 });
  assertFalse(isFree(inbox));
  inbox.end();
  assertEquals(await iterator.next(), { done: true, value: undefined });
  assert(isFree(inbox));
  inbox.push([2], 1);
  assertEquals(await iterator.next(), { done: true, value: undefined });
  assertEquals(inbox.length, 1);
});

Deno.test("InboxIterator.next() rejects if the inbox cannot be claimed, and is done after that", async () => {
  const inbox = inboxOf(1);
  const iterator = iterate(inbox);
  {
    using _ = inbox.claim("pump()");
    await assertRejects(() => iterator.next(), TypeError, "pump() is reading already");
  }
  assertEquals(await iterator.next(), { done: true, value: undefined });
  assertEquals(inbox.length, 1);
  assert(isFree(inbox));
});

Deno.test("InboxIterator releases the inbox when its loop is left", async () => {
  const inbox = inboxOf(1, 2, 3, 4);
  for await (const item of iterate(inbox)) if (item === 1) break;
  assert(isFree(inbox));
  await assertRejects(
    async () => {
      for await (const item of iterate(inbox)) throw new RangeError(`${item}`);
    },
    RangeError,
    "2",
  );
  assert(isFree(inbox));
  {
    await using iterator = iterate(inbox);
    assertEquals((await iterator.next()).value, 3);
  }
  assert(isFree(inbox));
  assertEquals(inbox.takeAll(), [4]);
});

Deno.test("InboxIterator answers calls in order, also calls during a pending one", async () => {
  const inbox = inboxOf(1);
  const iterator = iterate(inbox);
  const calls = [iterator.next(), iterator.next(), iterator.next(), iterator.return()];
  calls.push(iterator.next());
  await turn();
  inbox.push([2, 3, 4], 3);
  assertEquals(await Promise.all(calls), [
    { done: false, value: 1 },
    { done: false, value: 2 },
    { done: false, value: 3 },
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
  assert(isFree(inbox));
  assertEquals(inbox.takeAll(), [4]);
});

/** The same, as simple as can be. */
async function* generate(inbox: Inbox<number>): AsyncGenerator<number, void, void> {
  using _ = inbox.claim("for await");
  for (;;) {
    const item = await inbox.next();
    if (item === undefined) return;
    yield item;
  }
}

type Step = "next" | "return" | "throw" | "push" | "end" | "turn" | "claim" | "release";

/** What the calls to an iterator are answered, in the order in which that happens. */
async function record(
  steps: readonly Step[],
  iterate: (inbox: Inbox<number>) => AsyncGenerator<number, void, void>,
): Promise<unknown[]> {
  const inbox = new Inbox<number>({}, () => {});
  const iterator = iterate(inbox);
  const seen: unknown[] = [];
  const calls: Promise<void>[] = [];
  let pushed = 0;
  let claim = null as Disposable | null;
  const note = (call: Promise<IteratorResult<number, void>>) => {
    const number = calls.length;
    calls.push(call.then(
      (result) => void seen.push([number, result]),
      (error) => void seen.push([number, `${error}`]),
    ));
  };
  for (const step of steps) {
    if (step === "next") note(iterator.next());
    else if (step === "return") note(iterator.return());
    else if (step === "throw") note(iterator.throw(new RangeError(`${calls.length}`)));
    else if (step === "push") inbox.push([pushed++], 1);
    else if (step === "end") inbox.end();
    else if (step === "claim") {
      // An iterator that has nothing to wait for may be at its end a little earlier.
      await turn();
      if (isFree(inbox)) claim = inbox.claim("another reader");
    } else if (step === "release") {
      claim?.[Symbol.dispose]();
      claim = null;
    } else await turn();
    if (step === "turn") seen.push([inbox.length, isFree(inbox)]);
  }
  inbox.end();
  await Promise.all(calls);
  return [...seen, inbox.takeAll(), isFree(inbox)];
}

Deno.test("InboxIterator does what an async generator would do", async () => {
  const step = fc.constantFrom<Step>(
    ...(["next", "next", "next", "push", "push", "turn", "turn"] as const),
    ...(["return", "throw", "end", "claim", "release"] as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
      assertEquals(await record(steps, iterate), await record(steps, generate));
    }),
    { numRuns: fuzzRuns(500) },
  );
});
