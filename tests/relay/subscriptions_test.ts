import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import {
  MAX_QUEUES,
  MAX_WILDCARD_PLACES,
  refusalOf,
  Subscriptions,
} from "../../relay/subscriptions.ts";

type Step = [control: "subscribe" | "unsubscribe", events: string[], queue?: string];

/** The subscriptions of a client that has sent these wishes. */
function after(...steps: Step[]): Subscriptions {
  return steps.reduce<Subscriptions>(
    (before, [control, events, queue]) =>
      before.after({ control, events, ...(queue !== undefined && { queue }) }),
    Subscriptions.NONE_YET,
  );
}

Deno.test("Subscriptions are pairs of a pattern and a queue, each once", () => {
  const subscriptions = after(["subscribe", ["a", "a", "b"]], ["subscribe", ["a"], "q"], [
    "subscribe",
    ["a"],
  ]);
  assertEquals([...subscriptions], [["a", ""], ["b", ""], ["a", "q"]]);
  assertEquals(subscriptions.size, 3);
  assertEquals(subscriptions.queues, 1);
});

Deno.test("Subscriptions.after() removes existing pairs, and no others", () => {
  const subscriptions = after(["subscribe", ["a", "b"]], ["subscribe", ["a"], "q"], [
    "unsubscribe",
    ["a", "c"],
  ], ["unsubscribe", ["b"], "q"]);
  assertEquals([...subscriptions], [["b", ""], ["a", "q"]]);
});

Deno.test("Subscriptions.without() returns the pairs that the other does not have", () => {
  const one = after(["subscribe", ["a", "b"]], ["subscribe", ["a"], "q"], [
    "subscribe",
    ["x"],
    "p",
  ]);
  const two = one.after({ control: "subscribe", events: ["c"] })
    .after({ control: "unsubscribe", events: ["a", "b"] })
    .after({ control: "unsubscribe", events: ["a"], queue: "q" });
  assertEquals([...one.without(two)], [["a", ""], ["b", ""], ["a", "q"]]);
  assertEquals([...two.without(one)], [["c", ""]]);
  assertEquals([...one.without(one)], []);
});

Deno.test("Subscriptions are narrowed from the first subscribe on, and stay so", () => {
  assertFalse(after().isNarrowed);
  assertFalse(after(["unsubscribe", ["a"]]).isNarrowed);
  assert(after(["subscribe", []]).isNarrowed);
  assert(after(["subscribe", ["a"]], ["unsubscribe", ["a"]]).isNarrowed);
});

Deno.test("Subscriptions.coversAll is true only if every event is covered without a queue", () => {
  assert(after().coversAll);
  assert(after(["subscribe", ["a", ">"]]).coversAll);
  assertFalse(after(["subscribe", [">"], "q"]).coversAll);
  assertFalse(after(["subscribe", []]).coversAll);
});

Deno.test("Subscriptions.equals() compares pairs in any order", () => {
  const one = after(["subscribe", ["a", "b"]], ["subscribe", ["c"], "q"]);
  const two = after(["subscribe", ["c"], "q"], ["subscribe", ["b", "x"]], ["subscribe", ["a"]], [
    "unsubscribe",
    ["x"],
  ]);
  assert(one.equals(two));
  assertStrictEquals(one.fingerprint, two.fingerprint);
  assertFalse(one.equals(after(["subscribe", ["a", "b"]], ["subscribe", ["c"]])));
  assertFalse(one.equals(after(["subscribe", ["a", "b"]], ["subscribe", ["c"], "p"])));
  assertFalse(after().equals(after(["subscribe", []])));
});

Deno.test("refusalOf() names the pattern that is bad, and how many subscriptions are too many", () => {
  const refuse = (events: string[], max = 10) => {
    const wish = { control: "subscribe", events } as const;
    return refusalOf(wish, Subscriptions.NONE_YET.after(wish), max);
  };
  assertStrictEquals(refuse(["a", "a.*", ">"]), null);
  for (const bad of ["", ">.a", "x".repeat(256)]) {
    assertEquals(refuse(["a", bad])?.reason, "bad-pattern");
  }
  assertStrictEquals(refuse(["a", "b", "b"], 2), null);
  assertEquals(refuse(["a", "b", "c"], 2), {
    reason: "too-many-subscriptions",
    detail: "a client may have 2, this would make 3",
  });
  const queues = Array.from({ length: MAX_QUEUES }, (_, i): Step => ["subscribe", [">"], `${i}`]);
  const inQueue = (queue: string) => {
    const wish = { control: "subscribe", events: ["a"], queue } as const;
    return refusalOf(wish, after(...queues).after(wish), 1000);
  };
  assertStrictEquals(inQueue("0"), null);
  assertStrictEquals(inQueue(""), null);
  assertEquals(inQueue("one more"), {
    reason: "too-many-subscriptions",
    detail: "a client may be in 32 queues, this would make 33",
  });
  const farewell = { control: "unsubscribe", events: [">.a", ""] } as const;
  assertStrictEquals(refusalOf(farewell, Subscriptions.NONE_YET, 1), null);
});

Deno.test("Subscriptions.places counts where wildcards are, in each queue, as long as they are there", () => {
  const all = ["room.1.*", "room.2.*.text", "room.*.text", "x", "log.>"];
  assertEquals(after(["subscribe", all]).places, 3);
  assertEquals(after(["subscribe", all], ["subscribe", all, "q"]).places, 6);
  const less: Step = ["unsubscribe", ["room.1.*", "room.*.text", "x"]];
  assertEquals(after(["subscribe", all], less).places, 2);
  assertEquals(after(["subscribe", all], less, ["unsubscribe", ["room.2.*.text"]]).places, 1);
  assertEquals(after(["subscribe", all], ["unsubscribe", all]).places, 0);
});

Deno.test("refusalOf() refuses wildcards in more places than a client may have", () => {
  const refuse = (events: string[], before = after()) => {
    const wish = { control: "subscribe", events } as const;
    return refusalOf(wish, before.after(wish), 1000);
  };
  const stars = (count: number) => Array(count).fill("*").join(".");
  assertStrictEquals(refuse(Array.from({ length: 1000 }, (_, i) => `room.${i}.*.>`)), null);
  assertStrictEquals(refuse([`${stars(MAX_WILDCARD_PLACES)}${".a".repeat(90)}`]), null);
  assertStrictEquals(refuse([`${"a.".repeat(90)}${stars(MAX_WILDCARD_PLACES)}`]), null);
  const full = after(["subscribe", [stars(MAX_WILDCARD_PLACES)]]);
  assertStrictEquals(refuse(["a.b", stars(3)], full), null);
  assertEquals(refuse(["a.*"], full), {
    reason: "too-many-subscriptions",
    detail: "the patterns of a client may have wildcards in 32 places, this would make 33",
  });
  const less = { control: "unsubscribe", events: ["x"] } as const;
  assertStrictEquals(refusalOf(less, full.after(less), 1000), null);
});
