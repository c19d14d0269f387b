import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertThrows } from "@std/assert/throws";
import { RateLimiter, type RateOptions } from "../../server/rate_limiter.ts";
import { Clock } from "../support/clock.ts";
import { soon } from "../support/waiting.ts";

function setUp(options: RateOptions) {
  const released: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const rateLimiter = new RateLimiter<string>(options, (client) => {
    released.push(client);
    resolve();
  });
  const send = (client: string, events: number, bytes = 0, empty = 0, control = 0) =>
    rateLimiter.spend(client, { events, bytes, empty, control });
  return { rateLimiter, send, released, anyReleased: promise };
}

Deno.test("RateLimiter without limits never holds a client", () => {
  const { send } = setUp({});
  assertEquals(send("a", 1e9, 1e12), "within");
});

Deno.test("RateLimiter lets one second's worth come at once, and holds a client that sends more", async () => {
  const { rateLimiter, send, released, anyReleased } = setUp({ maxEventsPerSecond: 10 });
  assertEquals(send("a", 10), "within");
  assertFalse(rateLimiter.isPaused("a"));
  assertEquals(send("a", 10), "over");
  assert(rateLimiter.isPaused("a"));
  assertFalse(rateLimiter.isPaused("b"));
  assertEquals(send("b", 10), "within");
  await soon(anyReleased, "the release of a");
  assertEquals(released, ["a"]);
  assertFalse(rateLimiter.isPaused("a"));
});

Deno.test("RateLimiter holds a client for as long as its excess is worth", async () => {
  const { send, anyReleased } = setUp({ maxBytesPerSecond: 1000 });
  const start = performance.now();
  assertEquals(send("a", 1, 1300), "over");
  await soon(anyReleased, "the release of a");
  assertGreaterOrEqual(performance.now() - start, 290);
});

Deno.test("RateLimiter reports a client as far over after ten seconds' worth", () => {
  const { rateLimiter, send } = setUp({ maxEventsPerSecond: 10 });
  assertEquals(send("a", 105), "over");
  assertEquals(send("a", 10), "far over");
  rateLimiter.forget("a");
});

Deno.test("RateLimiter counts empty lines where there are more of them than events", () => {
  const { rateLimiter, send } = setUp({});
  assertEquals(send("a", 100_000, 0, 100_000), "within");
  assertEquals(send("b", 0, 0, 100), "within");
  assertEquals(send("b", 0, 0, 5), "over");
  assertEquals(send("c", 0, 0, 10_000), "far over");
  for (const client of ["a", "b", "c"]) rateLimiter.forget(client);
});

Deno.test("RateLimiter charges control lines by their cost, however many events come with them", () => {
  const { rateLimiter, send } = setUp({});
  assertEquals(send("a", 100_000, 0, 0, 99.5), "within");
  assertEquals(send("a", 100_000, 0, 0, 1.5), "over");
  assertEquals(send("b", 100_000, 0, 0, 1200), "far over");
  for (const client of ["a", "b"]) rateLimiter.forget(client);
});

Deno.test("RateLimiter lets a client use up one allowance without a loss of the other", () => {
  const { rateLimiter, send } = setUp({ maxEventsPerSecond: 10 });
  assertEquals(send("a", 9, 0, 0, 90), "within");
  assertEquals(send("a", 0, 0, 0, 9), "within");
  rateLimiter.forget("a");
});

Deno.test("RateLimiter.forget() forgets a client, and never releases it", () => {
  const { rateLimiter, send, released } = setUp({ maxEventsPerSecond: 1 });
  assertEquals(send("a", 5), "over");
  rateLimiter.forget("a"); // a timer that went on would be reported as a leak
  assertFalse(rateLimiter.isPaused("a"));
  assertEquals(send("a", 1), "within");
  assertEquals(released, []);
});

Deno.test("RateLimiter does not charge a client for lines that came during our own standstill", () => {
  using clock = new Clock();
  const { rateLimiter, send } = setUp({ maxEventsPerSecond: 10 });
  rateLimiter.start();
  assertEquals(send("a", 10), "within");
  clock.advance(60_000);
  assertEquals(send("a", 300), "within");
  // Who has not been heard of before may have waited to be accepted.
  assertEquals(send("b", 600), "within");
  // But no more than its allowance for that time.
  assertEquals(send("c", 800), "far over");
  assertEquals(send("b", 50), "over");
  rateLimiter.stop();
  for (const client of ["a", "b", "c"]) rateLimiter.forget(client);
});

Deno.test("RateLimiter.excuse() holds for the client that it is for, and wears off", () => {
  using clock = new Clock();
  const { rateLimiter, send } = setUp({ maxEventsPerSecond: 10 });
  rateLimiter.start();
  for (const client of ["a", "b"]) rateLimiter.excuse(60_000, client);
  assertEquals(send("a", 300), "within");
  assertEquals(send("c", 300), "far over");
  for (let i = 0; i < 80; i++) {
    clock.advance(750); // We run all the time.
    rateLimiter.tick();
  }
  assertEquals(send("b", 300), "far over");
  rateLimiter.stop();
  for (const client of ["a", "b", "c"]) rateLimiter.forget(client);
});

Deno.test("RateLimiter.excuse() adds up for a client that is hardly read from in between", () => {
  using clock = new Clock();
  const { rateLimiter, send } = setUp({ maxEventsPerSecond: 10 });
  rateLimiter.start();
  for (let i = 0; i < 3; i++) {
    for (let waited = 0; waited < 20_000; waited += 500) {
      clock.advance(500);
      rateLimiter.tick();
    }
    rateLimiter.excuse(20_000, "a");
  }
  assertEquals(send("a", 600), "within");
  rateLimiter.stop();
  rateLimiter.forget("a");
});

Deno.test("RateLimiter refuses limits out of range", () => {
  assertThrows(() => setUp({ maxEventsPerSecond: 0 }), RangeError, "maxEventsPerSecond");
  assertThrows(() => setUp({ maxBytesPerSecond: 0.5 }), RangeError, "maxBytesPerSecond");
});
