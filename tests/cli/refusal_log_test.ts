import { assertEquals } from "@std/assert/equals";
import type { Address } from "../../protocol/address.ts";
import type { CloseReason } from "../../errors.ts";
import { Refusals } from "../../cli/reporter.ts";
import { until } from "../support/waiting.ts";

const address: Address = ["192.0.2.1", 50_000];

function setUp(windowMs: number) {
  const told: unknown[] = [];
  const refusals = new Refusals({
    one: (address, reason, detail) => void told.push([address, reason, detail]),
    more: (counts) => void told.push(Object.fromEntries(counts)),
  }, windowMs);
  const add = (count: number, reason: CloseReason = "unauthorized") => {
    for (let i = 0; i < count; i++) refusals.add(address, reason, "no token");
  };
  return { told, refusals, add };
}

Deno.test("Refusals.add() sums up all but the first ten of a window, by reason", async () => {
  const { told, refusals, add } = setUp(50);
  add(13);
  add(4, "too-many-clients");
  assertEquals(told, Array(10).fill([address, "unauthorized", "no token"]));
  await until(() => told.length > 10);
  assertEquals(told.slice(10), [{ "unauthorized": 3, "too-many-clients": 4 }]);
  add(10);
  assertEquals(told.length, 21);
  refusals.reportAll();
});

Deno.test("Refusals never reports more than eleven things a window, and loses none", () => {
  const { told, refusals, add } = setUp(1_000_000);
  for (let window = 0; window < 5; window++) {
    add(20);
    refusals.reportAll();
  }
  assertEquals(told.length, 5 * 11);
  const sum = told.reduce<number>((sum, each) => {
    return sum + (Array.isArray(each) ? 1 : (each as Record<string, number>).unauthorized!);
  }, 0);
  assertEquals(sum, 100);
});

Deno.test("Refusals.reportAll() does not wait for the window to end, and reports nothing twice", () => {
  const { told, refusals, add } = setUp(1_000_000);
  refusals.reportAll();
  add(11);
  refusals.reportAll();
  refusals.reportAll();
  assertEquals(told.length, 11);
});
