import { assertEquals } from "@std/assert/equals";
import type { Address } from "../../protocol/address.ts";
import type { CloseReason } from "../../errors.ts";
import { Refusals } from "../../cli/refusal_log.ts";

/** A clock that a test sets. */
class FakeClock {
  timers: { at: number; callback: () => void }[] = [];
  time = 0;

  now(): number {
    return this.time;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.time + ms, callback };
    this.timers.push(timer);
    return () => this.timers = this.timers.filter((each) => each !== timer);
  }

  /** Lets time pass, and what is due happen. */
  pass(ms: number): void {
    this.time += ms;
    const due = this.timers.filter(({ at }) => at <= this.time);
    this.timers = this.timers.filter(({ at }) => at > this.time);
    for (const { callback } of due) callback();
  }
}

const address: Address = ["192.0.2.1", 50_000];

function setUp() {
  const clock = new FakeClock();
  const told: unknown[] = [];
  const refusals = new Refusals({
    one: (address, reason, detail) => void told.push([address, reason, detail]),
    more: (counts) => void told.push(Object.fromEntries(counts)),
  }, clock);
  const add = (count: number, reason: CloseReason = "unauthorized") => {
    for (let i = 0; i < count; i++) refusals.add(address, reason, "no token");
  };
  return { clock, told, refusals, add };
}

Deno.test("Refusals.add() tells of a few one by one, and sets no timer for that", () => {
  const { clock, told, add } = setUp();
  for (let second = 0; second < 3; second++) {
    add(10);
    clock.pass(1000);
  }
  assertEquals(told, Array(30).fill([address, "unauthorized", "no token"]));
  assertEquals(clock.timers, []);
});

Deno.test("Refusals.add() sums up all but the first ten of a second, by reason", () => {
  const { clock, told, add } = setUp();
  add(13);
  add(4, "too-many-clients");
  assertEquals([told.length, clock.timers.length], [10, 1]);
  clock.pass(1000);
  assertEquals(told.slice(10), [{ "unauthorized": 3, "too-many-clients": 4 }]);
  assertEquals(clock.timers, []);
});

Deno.test("Refusals never tells of more than eleven things a second, and loses none", () => {
  const { clock, told, add } = setUp();
  for (let ms = 0; ms < 5000; ms++) {
    add(20);
    clock.pass(1);
  }
  clock.pass(1000);
  assertEquals(told.length <= 5 * 11 + 11, true, `${told.length}`);
  const sum = told.reduce<number>((sum, each) => {
    return sum + (Array.isArray(each) ? 1 : (each as Record<string, number>).unauthorized!);
  }, 0);
  assertEquals(sum, 100_000);
});

Deno.test("Refusals.tellAll() does not wait for the second to end, and tells nothing twice", () => {
  const { clock, told, refusals, add } = setUp();
  refusals.tellAll();
  add(11);
  refusals.tellAll();
  assertEquals([told.length, clock.timers], [11, []]);
});
