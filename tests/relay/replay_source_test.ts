import { assertEquals } from "@std/assert/equals";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { LastValues } from "../../history/last_values.ts";
import { Producers } from "../../history/producers.ts";
import { MemoryLog } from "../../history/memory_log.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import { ReplaySource } from "../../relay/replay_source.ts";

function open(onFault: (fault: string) => void = () => {}): ReplaySource {
  const rules = checkHistoryOptions({});
  const log = new MemoryLog(rules);
  const keeper = {
    log,
    lastValues: new LastValues(),
    rules,
    producers: new Producers(),
    keepsSenders: false,
  };
  return new ReplaySource(keeper, 8_388_608, onFault);
}

Deno.test("ReplaySource.filterOf() remembers filters, but not too many patterns", () => {
  const source = open();
  const small = source.filterOf(["a", "b"]);
  assertStrictEquals(source.filterOf(["b", "a"]), small);
  const long = (i: number) =>
    Array.from({ length: 1000 }, (_, k) => `${i}.${k}.${"x".repeat(240)}`);
  const first = source.filterOf(long(0));
  for (let i = 1; i < 10; i++) source.filterOf(long(i));
  assertNotStrictEquals(source.filterOf(long(0)), first);
  assertNotStrictEquals(source.filterOf(["a", "b"]), small);
  const last = source.filterOf(["a", "b"]);
  const huge = Array.from({ length: 10 }, (_, i) => long(i)).flat();
  assertNotStrictEquals(source.filterOf(huge), source.filterOf(huge));
  assertStrictEquals(source.filterOf(["a", "b"]), last);
});

Deno.test("ReplaySource.noteDamage() reports each of many damages, and none twice soon", () => {
  const faults: string[] = [];
  const source = open((fault) => faults.push(fault));
  for (let i = 1; i <= 3000; i++) {
    for (let k = Math.max(1, i - 500); k <= i; k++) source.noteDamage(k * 10, k * 10 + 5);
  }
  assertEquals(faults.length, 3000);
  assertEquals(faults.at(-1), "the events 30000 to 30005 are damaged or missing, and left out");
});
