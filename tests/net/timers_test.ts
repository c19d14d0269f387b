import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { after } from "../../net/timers.ts";
import { MAX_TIMER_MS } from "../../protocol/option_checks.ts";

Deno.test("after() calls back, and its timer can be cleared before", async () => {
  const calls: string[] = [];
  clearTimeout(after(1, () => calls.push("cleared")));
  await new Promise<void>((resolve) => after(5, resolve));
  assertEquals(calls, []);
});

Deno.test("after() sets no timer for times beyond the longest one", () => {
  // A timer of the system that is given more than it can take fires after a millisecond.
  assertEquals(MAX_TIMER_MS, 2_147_483_647);
  const timer = after(MAX_TIMER_MS, () => {});
  assert(timer !== undefined);
  clearTimeout(timer);
  for (const ms of [MAX_TIMER_MS + 1, 2 ** 40, Infinity]) {
    assertEquals(after(ms, () => {}), undefined);
  }
});
