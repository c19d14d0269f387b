import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import { Window } from "../../cli/benchmarks.ts";

/** Whether a promise has been resolved. */
async function isResolved(promise: Promise<void>): Promise<boolean> {
  const no = {};
  return await Promise.race([promise, Promise.resolve(no)]) !== no;
}

Deno.test("Window lets senders run ahead, then waits for the slowest receiver", async () => {
  const window = new Window(4, 2);
  assertEquals([1, 2, 3].map(() => window.send()), [null, null, null]);
  const room = window.send()!;
  for (let i = 0; i < 4; i++) window.receive(0);
  window.receive(1);
  assertFalse(await isResolved(room));
  window.receive(1);
  assert(await isResolved(room));
  assertStrictEquals(window.send(), null);
});

Deno.test("Window does not wait for receivers that have left", async () => {
  const window = new Window(2, 2);
  window.send();
  const room = window.send()!;
  window.receive(0);
  assertFalse(await isResolved(room));
  window.leave(1);
  assert(await isResolved(room));
  window.leave(0);
  assertEquals([1, 2, 3, 4, 5].map(() => window.send()), [null, null, null, null, null]);
});

Deno.test("Window never holds senders once all have received everything", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.nat(4), { maxLength: 100 }),
      async (size, receivers, steps) => {
        const window = new Window(size, receivers);
        const received = new Array(receivers).fill(0);
        let sent = 0;
        let room: Promise<void> | null = null;
        for (const step of steps) {
          if (step < receivers && received[step] < sent) {
            received[step]++;
            window.receive(step);
          } else if (!room || await isResolved(room)) {
            room = window.send();
            sent++;
            assertLessOrEqual(sent - Math.min(...received), size);
          }
        }
        for (let each = 0; each < receivers; each++) {
          for (let count = received[each]; count < sent; count++) window.receive(each);
        }
        assert(!room || await isResolved(room));
      },
    ),
  );
});
