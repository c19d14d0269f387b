import { assertEquals } from "@std/assert/equals";
import { afterRunning, unwatch, watch, type Watched } from "../watch.ts";
import { Clock } from "./support/clock.ts";
import { until } from "./support/waiting.ts";

class Counter implements Watched {
  readonly elapsed: number[] = [];
  tick(elapsed: number): void {
    this.elapsed.push(elapsed);
  }
}

Deno.test("watch() tells everyone that time passes, until unwatch()", async () => {
  const [one, two] = [new Counter(), new Counter()];
  watch(one);
  watch(two);
  await until(() => two.elapsed.length === 2);
  unwatch(two);
  await until(() => one.elapsed.length === 4);
  unwatch(one); // a timer that went on would be reported as a leak
  assertEquals(two.elapsed.length, 2);
  assertEquals(one.elapsed.every((ms) => Number.isInteger(ms) && ms > 0), true);
});

Deno.test("watch() sets one timer, also where another call comes while the first one does", () => {
  const [one, two] = [new Counter(), new Counter()];
  const { setInterval } = globalThis;
  const before = Object.getOwnPropertyDescriptor(globalThis, "setInterval")!;
  let isFirst = true;
  Object.defineProperty(globalThis, "setInterval", {
    configurable: true,
    get() {
      if (isFirst) {
        isFirst = false;
        watch(two);
      }
      return setInterval;
    },
  });
  watch(one);
  Object.defineProperty(globalThis, "setInterval", before);
  assertEquals(isFirst, false);
  unwatch(one);
  unwatch(two); // a second timer would be reported as a leak
});

Deno.test("unwatch() may be called for whom is not watched", () => {
  unwatch(new Counter());
});

Deno.test("afterRunning() counts only the time in which we have run", async () => {
  using clock = new Clock();
  const counter = new Counter();
  watch(counter);
  let isOver = false;
  afterRunning(600, () => isOver = true);
  clock.advance(60_000);
  await until(() => isOver);
  assertEquals([counter.elapsed.length >= 3, counter.elapsed[0]! >= 60_000], [true, true]);
  unwatch(counter); // a timer that went on would be reported as a leak
});

Deno.test("afterRunning() can be called off", async () => {
  let isOver = false;
  const callOff = afterRunning(0, () => isOver = true);
  callOff();
  let isLater = false;
  afterRunning(1, () => isLater = true);
  await until(() => isLater);
  assertEquals(isOver, false);
});
