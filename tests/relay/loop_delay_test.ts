import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { LoopDelay } from "../../relay/stats.ts";
import { until } from "../support/waiting.ts";

function setUp() {
  const clock = { now: 1000 };
  const delay = new LoopDelay(() => clock.now);
  /** Lets time pass for a timer that comes `late` milliseconds late, each time. */
  const tick = (...late: number[]) => {
    for (const each of late) {
      clock.now += 100 + each;
      delay.tick();
    }
  };
  return { clock, delay, tick };
}

/** The delays of a timer that is on time for some seconds. */
function quiet(seconds: number): number[] {
  return new Array(10 * seconds).fill(0);
}

Deno.test("LoopDelay.read() returns the longest and the mean delay", () => {
  const { delay, tick } = setUp();
  delay.start();
  tick(0, 30, 0, 10);
  assertEquals(delay.read(), { max: 30, mean: 10 });
  delay.stop();
});

Deno.test("LoopDelay.read() takes nothing from other readers", () => {
  const { delay, tick } = setUp();
  delay.start();
  tick(0, 30, 0, 10);
  for (const _ of quiet(1)) assertEquals(delay.read(), { max: 30, mean: 10 });
  delay.stop();
});

Deno.test("LoopDelay.read() forgets the longest delay after a minute", () => {
  const { delay, tick } = setUp();
  delay.start();
  tick(500, ...quiet(58));
  assertEquals(delay.read().max, 500);
  tick(...quiet(2));
  assertEquals(delay.read().max, 0);
  delay.stop();
});

Deno.test("LoopDelay.read() returns the mean of the last ten seconds", () => {
  const { delay, tick } = setUp();
  delay.start();
  tick(...quiet(20).map(() => 25));
  tick(...quiet(11));
  assertEquals(delay.read(), { max: 25, mean: 0 });
  delay.stop();
});

Deno.test("LoopDelay.read() forgets what a long standstill has left behind", () => {
  const { clock, delay, tick } = setUp();
  delay.start();
  tick(300);
  delay.stop();
  clock.now += 3_600_000;
  assertEquals(delay.read(), { max: 0, mean: 0 });
});

Deno.test("LoopDelay.read() counts a delay that has not ended yet, and only once", () => {
  const { clock, delay } = setUp();
  delay.start();
  clock.now += 1100;
  assertEquals(delay.read(), { max: 1000, mean: 1000 });
  delay.tick();
  assertEquals(delay.read(), { max: 1000, mean: 500 });
  delay.stop();
});

Deno.test("LoopDelay.read() rounds, and never gives a mean above the maximum", () => {
  const { delay, tick } = setUp();
  delay.start();
  tick(1.38);
  assertEquals(delay.read(), { max: 2, mean: 1.4 });
  delay.stop();
});

Deno.test("LoopDelay takes a timer that comes early for one that is on time", () => {
  const { clock, delay } = setUp();
  delay.start();
  clock.now += 60;
  delay.tick();
  assertEquals(delay.read(), { max: 0, mean: 0 });
  delay.stop();
});

Deno.test("LoopDelay.start() notices by itself that the loop was blocked", async () => {
  const delay = new LoopDelay();
  delay.start();
  delay.start();
  for (const start = performance.now(); performance.now() < start + 250;);
  await until(() => delay.read().max > 0);
  assertGreaterOrEqual(delay.read().max, 100);
  delay.stop();
});

Deno.test("LoopDelay reports no delay before it is started", () => {
  const { clock, delay } = setUp();
  clock.now += 10_000;
  assertEquals(delay.read(), { max: 0, mean: 0 });
  delay.stop();
});
