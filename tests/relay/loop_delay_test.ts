import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { LoopDelay } from "../../relay/stats.ts";
import { until } from "../support/waiting.ts";

function setUp() {
  const clock = { now: 1000 };
  return { clock, delay: new LoopDelay(() => clock.now) };
}

Deno.test("LoopDelay.take() returns the longest and the mean delay since the last call", () => {
  const { clock, delay } = setUp();
  delay.start();
  for (const late of [0, 30, 0, 10]) {
    clock.now += 100 + late;
    delay.tick();
  }
  assertEquals(delay.take(), { max: 30, mean: 10 });
  clock.now += 105;
  delay.tick();
  assertEquals(delay.take(), { max: 5, mean: 5 });
  assertEquals(delay.take(), { max: 0, mean: 0 });
  delay.stop();
});

Deno.test("LoopDelay.take() counts a delay that has not ended yet, and only once", () => {
  const { clock, delay } = setUp();
  delay.start();
  clock.now += 1100;
  assertEquals(delay.take(), { max: 1000, mean: 1000 });
  delay.tick();
  assertEquals(delay.take(), { max: 0, mean: 0 });
  delay.stop();
});

Deno.test("LoopDelay.take() rounds, and never gives a mean above the maximum", () => {
  const { clock, delay } = setUp();
  delay.start();
  clock.now += 101.38;
  delay.tick();
  assertEquals(delay.take(), { max: 2, mean: 1.4 });
  delay.stop();
});

Deno.test("LoopDelay takes a timer that comes early for one that is on time", () => {
  const { clock, delay } = setUp();
  delay.start();
  clock.now += 60;
  delay.tick();
  assertEquals(delay.take(), { max: 0, mean: 0 });
  delay.stop();
});

Deno.test("LoopDelay.start() notices by itself that the loop was blocked", async () => {
  const delay = new LoopDelay();
  delay.start();
  delay.start();
  for (const start = performance.now(); performance.now() < start + 250;);
  let max = 0;
  await until(() => (max = Math.max(max, delay.take().max)) > 0);
  assertGreaterOrEqual(max, 100);
  delay.stop();
});

Deno.test("LoopDelay reports no delay before it is started", () => {
  const { clock, delay } = setUp();
  clock.now += 10_000;
  assertEquals(delay.take(), { max: 0, mean: 0 });
  delay.stop();
});
