import { assertEquals } from "@std/assert/equals";
import { LastValues } from "../../history/last_values.ts";
import { NameFilter } from "../../history/name_filter.ts";
import { utf8 } from "../support/bytes.ts";

const ALL = new NameFilter([">"]);

function set(values: LastValues, name: string, offset: number, bytes = 10): void {
  values.set({ name, offset, line: new Uint8Array(bytes), sender: 0 });
}

function offsets(values: LastValues, filter = ALL, to = Infinity): (number | null)[] {
  return Array.from(values.matching(filter, to), (value) => value?.offset ?? null);
}

Deno.test("LastValues.matching() yields the last event of each name, in the order of offsets", () => {
  const values = new LastValues();
  ["a", "b", "a", "0", "c", "b"].forEach((name, i) => set(values, name, i + 1));
  assertEquals(offsets(values), [3, 4, 5, 6]);
  assertEquals(offsets(values, ALL, 4), [3, 4]);
  assertEquals(offsets(values, new NameFilter(["a", "b"])), [3, null, null, 6]);
});

Deno.test("LastValues.matching() skips events that are replaced meanwhile", () => {
  const values = new LastValues();
  ["a", "b", "c"].forEach((name, i) => set(values, name, i + 1));
  const found = values.matching(ALL, 3);
  assertEquals(found.next().value?.name, "a");
  set(values, "b", 4);
  set(values, "d", 5);
  assertEquals(Array.from(found, (value) => value?.name), ["c"]);
});

Deno.test("LastValues refuses names and bytes beyond its limits, and counts them", () => {
  const values = new LastValues();
  for (let i = 0; i < 100_002; i++) set(values, `n${i}`, i + 1, 1);
  assertEquals([values.size, values.refused], [100_000, 2]);
  set(values, "n5", 200_000, 1);
  assertEquals([values.size, values.refused], [100_000, 2]);
  set(values, "n6", 200_001, 67_108_864);
  assertEquals([values.size, values.refused], [99_999, 3]);
  values.set({ name: "n7", offset: 200_002, line: utf8("{}\n"), sender: 0 });
  assertEquals([values.size, values.refused], [99_999, 3]);
});
