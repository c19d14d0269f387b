import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { LoadEvents, MIN_SIZE, untilStalled } from "../../cli/bench_load.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { pause, soon } from "../support/waiting.ts";

Deno.test("LoadEvents.make() makes lines of exactly the size that is asked for", () => {
  for (const size of [MIN_SIZE, 128, 5000]) {
    const events = new LoadEvents(size);
    for (const sender of [0, 9999]) {
      for (const n of [0, 9, 10, 123_456_789_012_345]) {
        assertEquals(events.make(sender, n).asBytes().length, size);
      }
    }
  }
});

Deno.test("LoadEvents.read() reads its own events, and no others", () => {
  const events = new LoadEvents(128);
  assertEquals(events.read(new EbsocketEvent(`${events.prefix}.3`, { n: 7 })), [3, 7]);
  const others = [
    new EbsocketEvent(`${new LoadEvents(128).prefix}.3`, { n: 7 }),
    new EbsocketEvent("bench", { n: 7 }),
    new EbsocketEvent(`${events.prefix}.3`, { n: "7" }),
    new EbsocketEvent(`${events.prefix}.3`),
  ];
  assertEquals(others.map((event) => events.read(event)), [null, null, null, null]);
});

Deno.test("untilStalled() waits for work that makes progress, and gives up on work that stalls", async () => {
  const never = Promise.withResolvers<string>().promise;
  assertStrictEquals(await untilStalled(Promise.resolve(), never, () => 0), null);
  const stalled = untilStalled(never, never, () => 0, 1);
  assertMatch((await soon(stalled, "the end"))!, /^Gave up: no progress for 0.001 s/);
  let done = 0;
  const slow = pause(1000);
  assertStrictEquals(await untilStalled(slow, never, () => done++, 300), null);
  assertEquals(await untilStalled(never, Promise.resolve("It rains"), () => 0), "It rains");
});
