import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { Interest } from "../../cluster/interest.ts";
import { InterestTable } from "../../cluster/interest_table.ts";
import { decodeInterest, type InterestChange } from "../../protocol/cluster.ts";
import { matches } from "../../protocol/pattern.ts";
import { textOf } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";

function decode(lines: readonly Uint8Array[]): InterestChange[] {
  return lines.map((line) => decodeInterest(JSON.parse(textOf(line)))!);
}

Deno.test("Interest tells each pattern once, and only what has changed", () => {
  const interest = new Interest();
  interest.change("a", "", 1);
  interest.change("a", "", 1);
  interest.change("b", "", 1);
  interest.change("b", "", -1);
  interest.change("c", "q", 1);
  interest.change("c", "q", 1);
  assert(interest.isChanged);
  const change = { version: 1, add: ["a"], drop: [], queues: [["c", "q", 2]], isWhole: false };
  change.queues = [["q", "c", 2]];
  assertEquals(decode(interest.takeChanges()) as unknown, [change]);
  assertEquals(interest.takeChanges(), []);
  interest.change("a", "", -1);
  assertFalse(interest.isChanged); // another client still hears it
  interest.change("a", "", -1);
  interest.change("c", "q", -1);
  const [next] = decode(interest.takeChanges());
  assertEquals([next!.version, next!.drop, next!.queues], [2, ["a"], [["q", "c", 1]]]);
});

Deno.test("Interest tells a relay that knows nothing all that the others know", () => {
  const interest = new Interest();
  assertEquals(decode(interest.all()), [
    { version: 0, add: [], drop: [], queues: [], isWhole: true },
  ]);
  for (let i = 0; i < 1200; i++) interest.change(`a.${i}`, "", 1);
  assertEquals(decode(interest.takeChanges()).length, 3);
  interest.change("later", "", 1);
  const all = decode(interest.all());
  assertEquals(all.map(({ isWhole }) => isWhole), [false, false, true]);
  assertEquals(all.flatMap(({ add }) => add).length, 1200);
  assertEquals(all[0]!.version, interest.version);
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
