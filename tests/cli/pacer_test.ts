import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { Pace } from "../../cli/bench_load.ts";

Deno.test("Pace.due() spreads the events of all senders evenly", () => {
  const paces = [0, 1].map((sender) =>
    new Pace({ perSecond: 1000, senders: 2, sender, start: 500 })
  );
  const times = [0, 1, 2].flatMap((n) => paces.map((pace) => pace.due(n)));
  assertEquals(times, [500, 501, 502, 503, 504, 505]);
});

Deno.test("Pace.wait() waits until an event is due, and not at all for one that is late", async () => {
  const start = performance.now();
  const pace = new Pace({ perSecond: 100, start });
  assertStrictEquals(pace.wait(0), null);
  for (const n of [1, 2]) {
    await pace.wait(n);
    assertGreaterOrEqual(performance.now(), pace.due(n));
  }
  assertStrictEquals(pace.wait(1), null);
});

Deno.test("Pace.wait() yields to other work", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  await new Pace({ perSecond: 50, start: performance.now() }).wait(1);
  clearInterval(timer);
  assertGreater(turns, 0);
});
