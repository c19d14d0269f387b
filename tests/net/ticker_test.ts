import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { addTicking, afterRunning, removeTicking, type Ticking } from "../../net/ticker.ts";
import { Clock } from "../support/clock.ts";
import { until } from "../support/waiting.ts";

class Counter implements Ticking {
  readonly elapsed: number[] = [];
  tick(elapsed: number): void {
    this.elapsed.push(elapsed);
  }
}

Deno.test("addTicking() calls each object regularly until removeTicking()", async () => {
  const [one, two] = [new Counter(), new Counter()];
  addTicking(one);
  addTicking(two);
  await until(() => two.elapsed.length === 2);
  removeTicking(two);
  await until(() => one.elapsed.length === 4);
  removeTicking(one); // a timer that went on would be reported as a leak
  assertEquals(two.elapsed.length, 2);
  assert(one.elapsed.every((ms) => Number.isInteger(ms) && ms > 0));
});

Deno.test("addTicking() sets one timer, also where another call comes while the first one does", () => {
  const [one, two] = [new Counter(), new Counter()];
  const { setInterval } = globalThis;
  const before = Object.getOwnPropertyDescriptor(globalThis, "setInterval")!;
  let isFirst = true;
  Object.defineProperty(globalThis, "setInterval", {
    configurable: true,
    get() {
      if (isFirst) {
        isFirst = false;
        addTicking(two);
      }
      return setInterval;
    },
  });
  addTicking(one);
  Object.defineProperty(globalThis, "setInterval", before);
  assertFalse(isFirst);
  removeTicking(one);
  removeTicking(two); // a second timer would be reported as a leak
});

Deno.test("removeTicking() may be called for whom is not watched", () => {
  removeTicking(new Counter());
});

Deno.test("afterRunning() counts only the time in which the process has run", async () => {
  using clock = new Clock();
  const counter = new Counter();
  addTicking(counter);
  let isOver = false;
  afterRunning(600, () => isOver = true);
  clock.advance(60_000);
  await until(() => isOver);
  assertGreaterOrEqual(counter.elapsed.length, 3);
  assertGreaterOrEqual(counter.elapsed[0]!, 60_000);
  removeTicking(counter); // a timer that went on would be reported as a leak
});

Deno.test("afterRunning() can be called off", async () => {
  let isOver = false;
  const callOff = afterRunning(0, () => isOver = true);
  callOff();
  let isLater = false;
  afterRunning(1, () => isLater = true);
  await until(() => isLater);
  assertFalse(isOver);
});
