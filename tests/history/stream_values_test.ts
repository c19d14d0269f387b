// The last events of names in a cluster, and which of them the stream is about to drop.

import { assertEquals } from "@std/assert/equals";
import { type LastValue, LastValues } from "../../history/last_values.ts";
import { NameFilter } from "../../history/name_filter.ts";
import { endOf } from "../../history/stream_format.ts";
import type { StreamInfo } from "../../history/stream_port.ts";
import { StreamValues } from "../../history/stream_values.ts";

const LINE = new Uint8Array(10);

/** The last event of a name, in a message. */
function valueOf(name: string, seq: number, line = LINE): LastValue {
  return { name, offset: endOf(seq), line, sender: 0 };
}

/** Returns the last events of names after some messages, each with one event. */
function valuesAfter(...names: string[]): StreamValues {
  const values = new StreamValues(new NameFilter([">"]));
  names.forEach((name, i) => values.set(valueOf(name, i + 1), i + 1));
  return values;
}

/** A stream that begins with a message. */
function from(first: number): StreamInfo {
  return { first, maxBytes: Infinity } as StreamInfo;
}

/** Returns the first message without which a name has no last event in the stream. */
function leastOf(values: StreamValues): number {
  for (let first = 0;; first++) if (values.hasDropped(from(first + 1))) return first;
}

function namesOf({ lastValues }: StreamValues): string[] {
  return Array.from(lastValues, ({ name }) => name);
}

Deno.test("StreamValues knows whether the stream has dropped the last event of a name", () => {
  const values = valuesAfter("a", "b", "c");
  assertEquals(leastOf(values), 1);
  values.repeat([valueOf("a", 1)], 4);
  assertEquals(leastOf(values), 2);
  values.set(valueOf("b", 5), 5);
  assertEquals(leastOf(values), 3);
  values.repeat([valueOf("c", 2)], 6); // It is older.
  assertEquals(leastOf(values), 3);
});

Deno.test("StreamValues does not look for names that had no room", () => {
  const values = new StreamValues(new NameFilter([">"]));
  const names = Array.from({ length: 100_001 }, (_, i) => `n${i}`);
  values.begin();
  for (const name of names.slice(1)) values.set(valueOf(name, 1), 1);
  values.set(valueOf("n0", 2), 2);
  assertEquals(values.lastValues.refused, 1);
  for (const name of names.slice(1)) values.set(valueOf(name, 3), 3);
  assertEquals(leastOf(values), 3);
  // One that was dropped unread has its place by its offset, and so takes that of the last one.
  values.repeat([valueOf("n0", 2)], 4);
  assertEquals([values.lastValues.size, values.lastValues.refused], [100_000, 2]);
  for (const name of names.slice(0, -1)) values.set(valueOf(name, 5), 5);
  assertEquals(leastOf(values), 5);
});

Deno.test("StreamValues does not look for a name whose last event is too long", () => {
  const values = valuesAfter("a", "b");
  values.set(valueOf("a", 3, new Uint8Array(67_108_864)), 3);
  values.set(valueOf("b", 4), 4);
  assertEquals([namesOf(values), leastOf(values)], [["b"], 4]);
});

Deno.test("StreamValues forgets events that the stream has lost, and repeats others whose message is lost", () => {
  for (const begins of [true, false]) {
    const values = valuesAfter("a", "b");
    if (begins) values.begin();
    values.set(valueOf("c", 3), 3);
    values.repeat([valueOf("d", 3)], 4);
    values.lose(endOf(2), 2);
    assertEquals(leastOf(values), 1);
    values.repeat([valueOf("a", 1)], 3);
    values.lose(endOf(2), 2);
    assertEquals(leastOf(values), 0); // No message has the event with the name a.
    values.repeat([valueOf("a", 1)], 3);
    assertEquals(leastOf(values), 2);
    if (!begins) values.begin();
    assertEquals(namesOf(values), ["a", "b"]);
  }
});

Deno.test("StreamValues adds all unread events of a message at once, in the places of their offsets", () => {
  const values = valuesAfter("a", "d", "f");
  values.begin();
  const { lastValues } = values;
  let changes = 0;
  lastValues.restore = (other) => {
    changes++;
    LastValues.prototype.restore.call(lastValues, other);
  };
  const offsets = [["g", 4], ["a", 0], ["e", 2.5], ["d", 2], ["f", 5], ["b", 1.2], [
    "b",
    1.5,
  ]] as const;
  values.repeat(offsets.map(([name, seq]) => valueOf(name, seq)), 6);
  assertEquals([namesOf(values), changes], [["a", "b", "d", "e", "g", "f"], 1]);
  assertEquals(lastValues.get("b")!.offset, endOf(1.5));
  values.repeat([valueOf("b", 1.5), valueOf("f", 3)], 7);
  assertEquals(changes, 1);
});
