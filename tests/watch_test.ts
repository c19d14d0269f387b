import { assertEquals } from "@std/assert/equals";
import { unwatch, watch, type Watched } from "../watch.ts";
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

Deno.test("unwatch() may be called for whom is not watched", () => {
  unwatch(new Counter());
});
