import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { abortable, after, sleep } from "../../net/waits.ts";
import { MAX_TIMER_MS } from "../../protocol/option_checks.ts";
import { soon } from "../support/waiting.ts";

Deno.test("abortable() settles as the promise or the signal, whichever is first", async () => {
  const controller = new AbortController();
  assertEquals(await abortable(Promise.resolve(1), controller.signal), 1);
  assertEquals(await abortable(2, controller.signal), 2);
  await assertRejects(() => abortable(Promise.reject(new Error("no")), controller.signal), Error);
  const waiting = abortable(new Promise(() => {}), controller.signal);
  controller.abort(new Error("enough"));
  await assertRejects(() => soon(waiting, "the end"), Error, "enough");
  await assertRejects(() => abortable(Promise.resolve(1), controller.signal), Error, "enough");
});

Deno.test("sleep() ends early when it is aborted, and leaves no timer", async () => {
  const controller = new AbortController();
  await sleep(1, controller.signal);
  const sleeping = sleep(1e9, controller.signal);
  controller.abort(new Error("enough"));
  await assertRejects(() => soon(sleeping, "the end"), Error, "enough");
});

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
