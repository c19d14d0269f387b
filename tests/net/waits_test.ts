import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { abortable, sleep } from "../../net/waits.ts";
import { soon } from "../support/waiting.ts";

Deno.test("abortable() gives what comes first", async () => {
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
