import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { ConnectError } from "../../errors.ts";
import { checkReconnectOptions, isFinal, Retries } from "../../client/retry.ts";
import { turn } from "../support/turns.ts";
import { soon } from "../support/waiting.ts";

const QUICK = checkReconnectOptions({ minDelay: 1, maxDelay: 2 });

Deno.test("checkReconnectOptions() has the documented defaults", () => {
  assertEquals(checkReconnectOptions({}), {
    minDelay: 500,
    maxDelay: 5000,
    attempts: Infinity,
    maxQueuedEvents: 10_000,
    maxQueuedBytes: 8_388_608,
    overflow: "refuse",
  });
  assertEquals(checkReconnectOptions({ minDelay: 60_000 }).maxDelay, 60_000);
});

Deno.test("checkReconnectOptions() throws with the name of an option out of range", () => {
  for (
    const [options, name] of [
      [{ minDelay: 0 }, "minDelay"],
      [{ minDelay: 100, maxDelay: 99 }, "maxDelay"],
      [{ maxDelay: Infinity }, "maxDelay"],
      [{ attempts: 0 }, "attempts"],
      [{ maxQueuedEvents: -1 }, "maxQueuedEvents"],
      [{ maxQueuedBytes: 0.5 }, "maxQueuedBytes"],
      [{ overflow: "drop" as "refuse" }, "overflow"],
    ] as const
  ) {
    assertThrows(() => checkReconnectOptions(options), RangeError, name);
  }
});

Deno.test("isFinal() is true for reasons that another attempt cannot change", () => {
  for (
    const reason of [
      "unauthorized",
      "bad-event",
      "bad-frame",
      "bad-json",
      "bad-request",
      "local",
      "aborted",
    ] as const
  ) {
    assert(isFinal(reason));
  }
  for (const reason of ["eof", "reset", "shutdown", "too-many-clients", "truncated"] as const) {
    assertFalse(isFinal(reason));
  }
  for (
    const reason of [
      "idle-timeout",
      "slow-consumer",
      "rate-limited",
      "overloaded",
      undefined,
    ] as const
  ) {
    assertFalse(isFinal(reason));
  }
});

Deno.test("Retries.run() numbers the attempts, and passes the last error to each", async () => {
  const seen: unknown[] = [];
  const outcome = await new Retries(QUICK).run((number, before) => {
    seen.push([number, before?.message]);
    if (number < 3) return Promise.reject(new ConnectError(`no ${number}`));
    return Promise.resolve("done");
  }, new AbortController().signal);
  assertEquals(outcome, "done");
  assertEquals(seen, [[1, undefined], [2, "no 1"], [3, "no 2"]]);
});

Deno.test("Retries.run() ends with an error that retrying cannot mend", async () => {
  const { signal } = new AbortController();
  let count = 0;
  const failWith = (error: Error) => () => {
    count++;
    return Promise.reject(error);
  };
  const refused = new ConnectError("no", { reason: "unauthorized" });
  await assertRejects(() => new Retries(QUICK).run(failWith(refused), signal), ConnectError);
  await assertRejects(() => new Retries(QUICK).run(failWith(new RangeError()), signal), RangeError);
  assertEquals(count, 2);
  const few = new Retries({ ...QUICK, attempts: 4 });
  await assertRejects(() => few.run(failWith(new ConnectError("no")), signal), ConnectError);
  assertEquals(count, 6);
});

Deno.test("Retries.run() can be given up while it waits, and leaves no timer", async () => {
  const controller = new AbortController();
  const patient = new Retries(checkReconnectOptions({ minDelay: 1e9, maxDelay: 1e9 }));
  const trying = patient.run(() => Promise.reject(new ConnectError("no")), controller.signal);
  const failing = assertRejects(() => trying, Error, "enough (attempt 1 has failed: no)");
  await turn();
  controller.abort(new Error("enough"));
  await soon(failing, "the end");
  const again = patient.run(() => Promise.resolve(), controller.signal, 1e9);
  await assertRejects(() => again, Error, "enough");
});

Deno.test("Retries.nextDelay() grows until a connection has lasted", () => {
  const retries = new Retries(checkReconnectOptions({ minDelay: 1, maxDelay: 1_000_000 }));
  const longest = () => {
    let most = 0;
    for (let i = 0; i < 20; i++) most = Math.max(most, retries.nextDelay());
    return most;
  };
  assertGreater(longest(), 1000);
  retries.onEnd(999);
  assert(retries.nextDelay() > 1 || retries.nextDelay() > 1 || retries.nextDelay() > 1);
  retries.onEnd(1000);
  assertLessOrEqual(retries.nextDelay(), 1);
});
