import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { Interest, InterestFeed } from "../../cluster/interest.ts";
import { InterestTable } from "../../cluster/interest_table.ts";
import { decodeInterest, type InterestChange } from "../../protocol/cluster.ts";
import { matches } from "../../protocol/pattern.ts";
import { textOf } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";

/** Returns the next lines for a relay, decoded. */
function tell(interest: Interest, feed: InterestFeed): InterestChange[] {
  feed.add(interest.takeChanges());
  const changes: InterestChange[] = [];
  for (let line; (line = feed.next());) {
    assertLess(line.length, 70_000);
    changes.push(decodeInterest(JSON.parse(textOf(line)))!);
  }
  return changes;
}

Deno.test("Interest tells each pattern once, and only what has changed", () => {
  const interest = new Interest();
  const feed = new InterestFeed(interest);
  assertEquals(tell(interest, feed), [
    { version: 0, add: [], drop: [], queues: [], isWhole: true },
  ]);
  interest.change("a", "", 1);
  interest.change("a", "", 1);
  interest.change("b", "", 1);
  interest.change("b", "", -1);
  interest.change("c", "q", 1);
  interest.change("c", "q", 1);
  assert(interest.isChanged);
  assertEquals(tell(interest, feed), [
    { version: 1, add: ["a"], drop: [], queues: [["q", "c", 2]], isWhole: false },
  ]);
  assertEquals(tell(interest, feed), []);
  interest.change("a", "", -1);
  assertFalse(interest.isChanged); // another client still hears it
  interest.change("a", "", -1);
  interest.change("c", "q", -1);
  const [next] = tell(interest, feed);
  assertEquals([next!.version, next!.drop, next!.queues], [2, ["a"], [["q", "c", 1]]]);
  interest.retire();
  const [last] = tell(interest, feed);
  assertEquals(last!.queues, [["q", "c", 0]]);
});

Deno.test("A relay that comes late is told everything, in lines of a bounded length", () => {
  const interest = new Interest();
  const names = Array.from({ length: 1200 }, (_, i) => `${"\u0001".repeat(240)}${i}`);
  for (const name of names) interest.change(name, name, 1);
  const before = new InterestFeed(interest);
  tell(interest, before);
  interest.change("later", "", 1);
  const feed = new InterestFeed(interest);
  const lines = tell(interest, feed);
  assertGreater(lines.length, 40);
  assertEquals(lines.flatMap(({ queues }) => queues.map(([queue]) => queue)).sort(), names.sort());
  assertEquals(new Set(lines.flatMap(({ add }) => add)), new Set(["later"]));
  assertEquals(lines.filter(({ isWhole }) => isWhole), lines.slice(-1));
  assertEquals(lines.filter(({ version }) => version > 0), lines.slice(-1));
  assertEquals(lines.at(-1)!.version, interest.version);
});

Deno.test("A relay is told what clients hear no more after what they hear instead, however much that is", () => {
  const interest = new Interest();
  const feed = new InterestFeed(interest);
  interest.change(">", "", 1);
  tell(interest, feed);
  interest.change(">", "", -1);
  const names = Array.from({ length: 600 }, (_, i) => `${"x".repeat(240)}${i}`);
  for (const name of names) interest.change(name, "", 1);
  const lines = tell(interest, feed);
  assertGreater(lines.length, 1);
  assertEquals(lines.flatMap(({ add }) => add), names);
  assertEquals(
    lines.map(({ drop }) => drop.length),
    lines.map((_, i) => i + 1 < lines.length ? 0 : 1),
  );
});

Deno.test("A relay that takes its lines slowly ends with what is right, whatever has changed meanwhile", () => {
  const random = randomsFrom(3);
  const interest = new Interest();
  const counts = new Map<string, number>();
  const feeds = [1, 2, 3].map(() => new InterestFeed(interest));
  const told = feeds.map(() => new Map<string, number>());
  const take = (i: number) => {
    const line = feeds[i]!.next();
    if (!line) return false;
    const { add, drop, queues } = decodeInterest(JSON.parse(textOf(line)))!;
    for (const pattern of add) told[i]!.set(`|${pattern}`, 1);
    for (const pattern of drop) told[i]!.delete(`|${pattern}`);
    for (const [queue, pattern, members] of queues) {
      if (members > 0) told[i]!.set(`${queue}|${pattern}`, members);
      else told[i]!.delete(`${queue}|${pattern}`);
    }
    return true;
  };
  for (let step = 0; step < 20_000; step++) {
    const pattern = "p".repeat(200) + random(2000);
    const queue = random(2) === 0 ? "" : "q";
    const key = `${queue}|${pattern}`;
    const count = counts.get(key) ?? 0;
    const by = count > 0 && random(2) === 0 ? -1 : 1;
    interest.change(pattern, queue, by);
    counts.set(key, count + by);
    if (random(20) > 0) continue;
    const changes = interest.takeChanges();
    for (const [i, feed] of feeds.entries()) {
      feed.add(changes);
      if (random(100) < 30 * i) take(i);
    }
  }
  const changes = interest.takeChanges();
  for (const [i, feed] of feeds.entries()) {
    feed.add(changes);
    while (take(i));
    const right = [...counts].filter(([, count]) => count > 0)
      .map(([key, count]) => [key, key.startsWith("|") ? 1 : count] as const);
    assertEquals(told[i], new Map(right));
  }
});

/** A relay of the table, with all that its clients hear. */
interface Relay {
  isSettled: boolean;
  readonly patterns: Map<string, Map<string, number>>;
}

Deno.test("InterestTable finds the relays whose clients hear an event, as a look at each would", () => {
  const random = randomsFrom(7);
  const patterns = ["a", "a.b", "a.*", "*.b", ">", "a.>", "b"];
  const names = ["a", "b", "a.b", "a.c", "c.b", "a.b.c", "x"];
  const table = new InterestTable<Relay>();
  let relays: Relay[] = [];
  for (let step = 0; step < 2000; step++) {
    const what = random(20);
    if (what === 0 && relays.length < 5) {
      const relay = { isSettled: false, patterns: new Map() };
      relays.push(relay);
      table.join(relay);
    } else if (what === 1 && relays.length > 0) {
      const relay = relays[random(relays.length)]!;
      relays = relays.filter((each) => each !== relay);
      table.leave(relay);
    } else if (relays.length > 0) {
      const relay = relays[random(relays.length)]!;
      const pattern = patterns[random(patterns.length)]!;
      const queue = ["", "q", "r"][random(3)]!;
      const members = queue === "" ? random(2) : random(3);
      const plain = queue === "" ? [pattern] : [];
      table.apply(relay, {
        version: 1,
        add: members > 0 ? plain : [],
        drop: members > 0 ? [] : plain,
        queues: queue === "" ? [] : [[queue, pattern, members]],
        isWhole: random(2) === 0,
      });
      const known = relay.patterns.get(queue) ?? new Map();
      relay.patterns.set(queue, known.set(pattern, members));
    }
    const name = names[random(names.length)]!;
    const heard = (relay: Relay, queue: string) =>
      [...relay.patterns.get(queue) ?? []].filter(([pattern]) => matches(pattern, name))
        .reduce((max, [, members]) => Math.max(max, members), 0);
    const { relays: found, queues } = table.reach(name);
    assertEquals(found, new Set(relays.filter((each) => !each.isSettled || heard(each, "") > 0)));
    for (const queue of ["q", "r"]) {
      const members = new Map(relays.map((each) => [each, heard(each, queue)] as const));
      for (const [relay, count] of members) if (count === 0) members.delete(relay);
      assertEquals(queues.get(queue) ?? new Map(), members);
    }
  }
});
