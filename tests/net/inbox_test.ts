import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertFalse } from "@std/assert/false";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import fc from "fast-check";
import { clearTimers } from "../../net/turn.ts";
import { Inbox, type InboxOptions } from "../../net/inbox.ts";
import { fuzzRuns } from "../support/lines.ts";
import { turn } from "../support/turns.ts";

/** An inbox of numbers that counts the calls of `onRoom`. */
function makeInbox(options: InboxOptions = {}) {
  const state = { calls: 0 };
  return { inbox: new Inbox<number>(options, () => state.calls++), state };
}

/** The numbers from `start` to `end - 1`. */
function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** Whether a promise has been settled by the end of this turn of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => void (settled = true);
  promise.then(note, note);
  await turn();
  return settled;
}

Deno.test("Inbox keeps the order of its items", () => {
  const { inbox } = makeInbox();
  inbox.push([1, 2], 10);
  inbox.push([3], 5);
  inbox.push([], 0);
  inbox.push([4, 5], 10);
  assertEquals(inbox.length, 5);
  assertEquals(inbox.take(), 1);
  assertEquals(inbox.take(), 2);
  assertEquals(inbox.length, 3);
  inbox.push([6], 5);
  assertEquals(inbox.takeAll(), [3, 4, 5, 6]);
  assertEquals(inbox.length, 0);
  assertStrictEquals(inbox.take(), undefined);
  assertEquals(inbox.takeAll(), []);
  inbox.push([7], 5);
  assertEquals([inbox.take(), inbox.take()], [7, undefined]);
});

Deno.test("Inbox.push() takes the items, not the array", () => {
  const { inbox } = makeInbox();
  const items = [1, 2];
  inbox.push(items, 10);
  items.push(3);
  assertEquals(inbox.takeAll(), [1, 2]);
  assertEquals(items, [1, 2, 3]);
});

Deno.test("Inbox is full from maxUnreadEvents on until it is half empty, and calls onRoom once", () => {
  const { inbox, state } = makeInbox({ maxUnreadEvents: 10 });
  inbox.push(range(0, 9), 9);
  assertFalse(inbox.full);
  inbox.push([9], 1);
  assert(inbox.full);
  for (let i = 0; i < 4; i++) inbox.take();
  assertEquals(inbox.length, 6);
  assert(inbox.full);
  assertEquals(state.calls, 0);
  inbox.take();
  inbox.take();
  assertEquals(inbox.length, 4);
  assertFalse(inbox.full);
  assertEquals(state.calls, 1);
  for (let i = 0; i < 4; i++) inbox.take();
  assertEquals(inbox.length, 0);
  assertFalse(inbox.full);
  assertEquals(state.calls, 1);
});

Deno.test("Inbox is full from maxUnreadBytes on until half of them have been read", () => {
  const { inbox, state } = makeInbox({ maxUnreadBytes: 1000 });
  inbox.push(range(0, 10), 999);
  assertFalse(inbox.full);
  inbox.push([10], 1);
  assert(inbox.full);
  for (let i = 0; i < 4; i++) inbox.take();
  assert(inbox.full);
  assertEquals(state.calls, 0);
  for (let i = 0; i < 3; i++) inbox.take();
  assertFalse(inbox.full);
  assertEquals(state.calls, 1);
});

Deno.test("Inbox calls onRoom only when it is below both marks", () => {
  const { inbox, state } = makeInbox({ maxUnreadEvents: 4, maxUnreadBytes: 1000 });
  inbox.push(range(0, 20), 100);
  for (let i = 0; i < 17; i++) inbox.take();
  assertEquals(inbox.length, 3);
  assert(inbox.full);
  assertEquals(state.calls, 0);
  inbox.push([], 0);
  inbox.take();
  inbox.take();
  assertEquals(inbox.length, 1);
  assertFalse(inbox.full);
  assertEquals(state.calls, 1);
});

Deno.test("Inbox.push() never refuses, however full the inbox is", () => {
  const { inbox, state } = makeInbox({ maxUnreadEvents: 2 });
  for (let i = 0; i < 100; i++) inbox.push([i], 1);
  assert(inbox.full);
  assertEquals(inbox.length, 100);
  assertEquals(state.calls, 0);
  assertEquals(inbox.takeAll(), range(0, 100));
  assertFalse(inbox.full);
  assertEquals(state.calls, 1);
});

Deno.test("Inbox.takeAll() makes room at once, and onRoom is called each time it was full", () => {
  const { inbox, state } = makeInbox({ maxUnreadEvents: 3 });
  for (let round = 1; round <= 5; round++) {
    inbox.push([1, 2, 3], 3);
    assert(inbox.full);
    inbox.takeAll();
    assertFalse(inbox.full);
    assertEquals(state.calls, round);
  }
  inbox.push([1], 1);
  inbox.takeAll();
  assertEquals(state.calls, 5);
});

Deno.test("Inbox can have marks of one", () => {
  const { inbox, state } = makeInbox({ maxUnreadEvents: 1, maxUnreadBytes: 1 });
  inbox.push([1], 100);
  assert(inbox.full);
  assertEquals(inbox.take(), 1);
  assertFalse(inbox.full);
  assertEquals(state.calls, 1);
});

Deno.test("Inbox can have no marks", () => {
  const { inbox } = makeInbox({ maxUnreadEvents: Infinity, maxUnreadBytes: Infinity });
  inbox.push(range(0, 20_000), 1e12);
  assertFalse(inbox.full);
  assertEquals(inbox.length, 20_000);
});

Deno.test("Inbox has the documented default marks", () => {
  const byCount = makeInbox().inbox;
  byCount.push(range(0, 9999), 0);
  assertFalse(byCount.full);
  byCount.push([1], 0);
  assert(byCount.full);
  const byBytes = makeInbox().inbox;
  byBytes.push([1], 2 ** 23 - 1);
  assertFalse(byBytes.full);
  byBytes.push([2], 1);
  assert(byBytes.full);
});

Deno.test("Inbox refuses marks out of their range", () => {
  for (const value of [0, -1, 1.5, NaN]) {
    assertThrows(() => makeInbox({ maxUnreadEvents: value }), RangeError, "maxUnreadEvents");
    assertThrows(() => makeInbox({ maxUnreadBytes: value }), RangeError, "maxUnreadBytes");
  }
});

Deno.test("Inbox keeps order, count and marks over random pushes and takes", () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant("push"), n: fc.nat(6) }),
    fc.record({ type: fc.constant("take"), n: fc.nat(4) }),
    fc.record({ type: fc.constant("takeAll"), n: fc.constant(0) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 12 }),
      (steps, max) => {
        const { inbox, state } = makeInbox({ maxUnreadEvents: max });
        const model: number[] = [];
        let full = false;
        let calls = 0;
        let next = 0;
        for (const { type, n } of steps) {
          if (type === "push") {
            const items = range(next, next += n);
            model.push(...items);
            inbox.push(items, n);
            full ||= model.length >= max;
          } else if (type === "take") {
            for (let i = 0; i < n; i++) assertEquals(inbox.take(), model.shift());
          } else {
            assertEquals(inbox.takeAll(), model.splice(0));
          }
          assertEquals(inbox.length, model.length);
          if (full && model.length < max / 2) {
            full = false;
            calls++;
          }
          // At exactly half, both is fine.
          if (full && model.length === max / 2 && !inbox.full) {
            full = false;
            calls++;
          }
          assertEquals(inbox.full, full);
          assertEquals(state.calls, calls);
        }
      },
    ),
    { numRuns: fuzzRuns(500) },
  );
});

Deno.test("Inbox.take() releases the memory of taken items, also in an inbox that is never empty", () => {
  const SIZE = 2 ** 20;
  const COUNT = 1000;
  const inbox = new Inbox<Uint8Array>({ maxUnreadBytes: Infinity }, () => {});
  const before = Deno.memoryUsage().external;
  inbox.push([new Uint8Array(SIZE)], SIZE);
  for (let i = 0; i < COUNT; i++) {
    inbox.push([new Uint8Array(SIZE)], SIZE);
    inbox.take();
  }
  // The garbage collector runs by itself, long before half a gigabyte has piled up.
  const grown = Deno.memoryUsage().external - before;
  assertEquals(inbox.length, 1);
  assertLess(grown, COUNT * SIZE / 2, `${Math.round(grown / SIZE)} MiB are still held`);
});

/** How many items arrays copy or move while `work` runs. */
function countMoved(work: () => void): number {
  const { prototype } = Array;
  const { slice, splice, shift } = prototype;
  let moved = 0;
  prototype.slice = function (this: unknown[], ...args: [number?, number?]) {
    const result = slice.apply(this, args);
    moved += result.length;
    return result;
  };
  prototype.splice = function (this: unknown[], ...args: [number, number]) {
    moved += this.length;
    return splice.apply(this, args);
  };
  prototype.shift = function (this: unknown[]) {
    moved += this.length;
    return shift.call(this);
  };
  try {
    work();
  } finally {
    Object.assign(prototype, { slice, splice, shift });
  }
  return moved;
}

Deno.test("Inbox.take() moves each item at most a few times, however long the inbox", () => {
  for (const count of [100, 10_000, 100_000]) {
    const { inbox } = makeInbox({ maxUnreadEvents: Infinity });
    inbox.push(range(0, count), count);
    let taken = 0;
    const moved = countMoved(() => {
      while (inbox.take() !== undefined) taken++;
    });
    assertEquals(taken, count);
    assertLessOrEqual(moved, 3 * count, `${moved} for ${count}`);
  }
});

Deno.test("Inbox.claim() admits one reader at a time, and its error names both", () => {
  const { inbox } = makeInbox();
  {
    using _ = inbox.claim("pump()");
    const error = assertThrows(() => inbox.claim("recvEvent()"), TypeError, "recvEvent()");
    assertStringIncludes(error.message, "pump()");
    assertThrows(() => inbox.claim("pump()"), TypeError);
  }
  using _ = inbox.claim("recvEvent()");
  assertThrows(() => inbox.claim("for await"), TypeError, "for await");
});

Deno.test("Inbox.claim() ends when its block ends with an error", () => {
  const { inbox } = makeInbox();
  assertThrows(() => {
    using _ = inbox.claim("pump()");
    throw new RangeError("the program's own");
  }, RangeError);
  inbox.claim("recvEvent()")[Symbol.dispose]();
});

Deno.test("Inbox.next() resolves to unread items, then waits for later ones", async () => {
  const { inbox } = makeInbox();
  inbox.push([1, 2], 2);
  assertEquals([await inbox.next(), await inbox.next()], [1, 2]);
  const next = inbox.next();
  assertFalse(await isSettled(next));
  inbox.push([3, 4], 2);
  assertEquals(await next, 3);
  assertEquals(await inbox.next(), 4);
});

Deno.test("Inbox.next() resolves to the rest after the end, then to undefined", async () => {
  const { inbox } = makeInbox();
  inbox.push([1], 1);
  assertFalse(inbox.ended);
  inbox.end();
  assert(inbox.ended);
  assertEquals(inbox.length, 1);
  assertEquals(await inbox.next(), 1);
  assertStrictEquals(await inbox.next(), undefined);
  assertStrictEquals(await inbox.next(), undefined);
});

Deno.test("Inbox.end() wakes a reader that waits", async () => {
  const { inbox } = makeInbox();
  const next = inbox.next();
  assertFalse(await isSettled(next));
  inbox.end();
  assertEquals(await next, undefined);
});

Deno.test("Inbox.reopen() makes readers wait again, and keeps what is unread", async () => {
  const { inbox } = makeInbox();
  inbox.push([1], 1);
  inbox.end();
  inbox.reopen();
  assertFalse(inbox.ended);
  assertEquals(await inbox.next(), 1);
  const next = inbox.next();
  assertFalse(await isSettled(next));
  inbox.push([2], 1);
  assertEquals(await next, 2);
});

Deno.test("Inbox.next() rejects when its signal is aborted, and loses no item", async () => {
  const { inbox } = makeInbox();
  const controller = new AbortController();
  const next = inbox.next(controller.signal);
  controller.abort(new RangeError("enough"));
  await assertRejects(() => next, RangeError, "enough");
  inbox.push([1, 2], 2);
  assertEquals([await inbox.next(), await inbox.next()], [1, 2]);
});

Deno.test("Inbox.next() rejects at once with a signal that is aborted, even if there are items", async () => {
  const { inbox } = makeInbox();
  inbox.push([1], 1);
  await assertRejects(() => inbox.next(AbortSignal.abort(new RangeError("no"))), RangeError, "no");
  assertEquals(inbox.length, 1);
});

Deno.test("Inbox.next() resolves to an item that came before its signal was aborted", async () => {
  const { inbox } = makeInbox();
  const controller = new AbortController();
  const next = inbox.next(controller.signal);
  inbox.push([1], 1);
  assertEquals(await next, 1);
  controller.abort();
  const second = inbox.next();
  assertFalse(await isSettled(second));
  inbox.push([2], 1);
  assertEquals(await second, 2);
});

Deno.test("Inbox.arrival() resolves at once when there are items or the end", async () => {
  const { inbox } = makeInbox();
  inbox.push([1], 1);
  await inbox.arrival();
  assertEquals(inbox.takeAll(), [1]);
  inbox.end();
  await inbox.arrival();
});

Deno.test("Inbox.arrival() resolves after its timeout, with nothing there", async () => {
  const { inbox } = makeInbox();
  for (const timeout of [0, 1, 5]) {
    const start = performance.now();
    await inbox.arrival(timeout);
    assertGreaterOrEqual(performance.now() - start, timeout - 1);
    assertEquals(inbox.length, 0);
  }
});

Deno.test("Inbox.arrival() resolves with the first item, long before its timeout", async () => {
  const { inbox } = makeInbox();
  const arrival = inbox.arrival(1_000_000);
  assertFalse(await isSettled(arrival));
  inbox.push([1], 1);
  await arrival;
  assertEquals(inbox.takeAll(), [1]);
});

Deno.test("Inbox.arrival() waits for longer than a timer of the system can", async () => {
  for (const timeout of [2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const { inbox } = makeInbox();
    const arrival = inbox.arrival(timeout);
    // A timer that takes the number for too large fires after a millisecond.
    const short = new Inbox<number>({}, () => {});
    await short.arrival(5);
    assertFalse(await isSettled(arrival), `${timeout}`);
    inbox.end();
    await arrival;
  }
});

Deno.test("Inbox.arrival() goes on after a timeout as if it had not waited before", async () => {
  const { inbox } = makeInbox();
  await inbox.arrival(1);
  const arrival = inbox.arrival();
  assertFalse(await isSettled(arrival));
  inbox.push([1], 1);
  await arrival;
});

Deno.test("Inbox.mustYield() sets no timer after the end", () => {
  const { setTimeout } = globalThis;
  for (const isEnded of [true, false]) {
    const { inbox } = makeInbox();
    inbox.push(Array.from({ length: 100 }, (_, i) => i), 0);
    if (isEnded) inbox.end();
    let timers = 0;
    globalThis.setTimeout = (() => ++timers) as unknown as typeof setTimeout;
    while (inbox.take() !== undefined) {
      for (const start = performance.now(); performance.now() - start < 0.2;);
      inbox.mustYield();
    }
    globalThis.setTimeout = setTimeout;
    assertEquals(timers > 0, !isEnded);
    clearTimers({});
  }
});

Deno.test("Inbox.take() leaves no timer once nothing is unread, although nobody has claimed it", () => {
  const { inbox } = makeInbox();
  inbox.push(Array.from({ length: 100 }, (_, i) => i), 0);
  const { setTimeout, clearTimeout } = globalThis;
  const timers = new Set<unknown>();
  globalThis.setTimeout = (() => {
    const id = Symbol();
    timers.add(id);
    return id;
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((id: unknown) => timers.delete(id)) as unknown as typeof clearTimeout;
  let max = 0;
  while (inbox.take() !== undefined) {
    for (const start = performance.now(); performance.now() - start < 0.2;);
    inbox.mustYield();
    max = Math.max(max, timers.size);
  }
  Object.assign(globalThis, { setTimeout, clearTimeout });
  assertGreater(max, 0);
  assertEquals(timers.size, 0);
});
