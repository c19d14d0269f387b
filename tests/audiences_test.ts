import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import fc from "fast-check";
import type { Listener } from "../audience.ts";
import { Audiences } from "../audiences.ts";
import { matches } from "../pattern.ts";
import { MAX_WILDCARD_PLACES } from "../subscriptions.ts";
import { assertNoDearer } from "./support/collisions.ts";
import { FakeRecipient } from "./support/routes.ts";

function setUp(count: number) {
  const audiences = new Audiences<FakeRecipient>();
  const listeners = Array.from(
    { length: count },
    (_, i) => audiences.join(new FakeRecipient(i + 1)),
  );
  return { audiences, listeners };
}

type Clients = Listener<FakeRecipient>;

function wish(
  audiences: Audiences<FakeRecipient>,
  listener: Clients,
  events: string[],
  { queue, control = "subscribe" }: { queue?: string; control?: "subscribe" | "unsubscribe" } = {},
): void {
  const request = { control, events, ...(queue !== undefined && { queue }) };
  audiences.move(listener, listener.subscriptions.after(request), listener.isNumbered);
}

/** The numbers of the clients that are reached beside those that hear everything. */
function reached(audiences: Audiences<FakeRecipient>, name: string): number[] {
  const { audiences: plain } = audiences.reach(name);
  return plain.flatMap(({ members }) => [...members].map(({ recipient }) => recipient.id)).sort();
}

Deno.test("Audiences has one for all clients with the same subscriptions, however they came to them", () => {
  const { audiences, listeners: [one, two, three] } = setUp(3);
  wish(audiences, one!, ["a", "b"]);
  wish(audiences, two!, ["b"]);
  wish(audiences, two!, ["a"]);
  wish(audiences, three!, ["a"]);
  assertEquals(one!.audience === two!.audience, true);
  assertEquals(one!.subscriptions === two!.subscriptions, true);
  assertEquals(one!.audience === three!.audience, false);
  assertEquals([reached(audiences, "a"), reached(audiences, "b")], [[1, 2, 3], [1, 2]]);
});

Deno.test("Audiences knows those that hear everything, as a whole", () => {
  const { audiences, listeners: [one, two] } = setUp(2);
  assertEquals([audiences.isIdle, audiences.everything.members.size], [true, 2]);
  wish(audiences, one!, []);
  assertEquals([audiences.isIdle, audiences.everything.members.size], [true, 1]);
  wish(audiences, one!, ["a"]);
  wish(audiences, two!, ["a", ">"]);
  assertEquals([audiences.isIdle, audiences.everything.members.size], [false, 1]);
  wish(audiences, one!, [">"]);
  assertEquals([audiences.isIdle, audiences.everything.members.size], [true, 2]);
  wish(audiences, one!, [">"], { control: "unsubscribe" });
  assertEquals([audiences.isIdle, reached(audiences, "a")], [false, [1]]);
});

Deno.test("Audiences keeps a client of a queue apart, and not one with numbers", () => {
  const { audiences, listeners: [one, two, three] } = setUp(3);
  wish(audiences, one!, ["a.*"], { queue: "q" });
  wish(audiences, two!, ["*.b"], { queue: "q" });
  wish(audiences, two!, ["a.b"], { queue: "p" });
  audiences.move(three!, three!.subscriptions, true);
  const { audiences: plain, queues } = audiences.reach("a.b");
  assertEquals(plain, []);
  assertEquals([...queues.values()].map((each) => each.length).sort(), [1, 2]);
  assertEquals([three!.isNumbered, three!.audience === audiences.everything], [true, true]);
});

Deno.test("Audiences.generation changes when an event may reach others, not when an audience grows", () => {
  const { audiences, listeners: [one, two] } = setUp(2);
  const changes = (change: () => void): boolean => {
    const before = audiences.generation;
    change();
    return audiences.generation !== before;
  };
  assertEquals(changes(() => wish(audiences, one!, [])), false);
  assertEquals(changes(() => wish(audiences, one!, ["a"])), true);
  assertEquals(changes(() => wish(audiences, two!, ["a"])), false);
  assertEquals(changes(() => audiences.leave(two!)), false);
  assertEquals(changes(() => audiences.leave(one!)), true);
  assertEquals(changes(() => audiences.join(new FakeRecipient(9))), false);
});

Deno.test("Audiences reaches whom comparing with every pattern of every client reaches", () => {
  const pattern = fc.constantFrom("a", "b", "*", ">", "a.*", "a.>", "*.b", "a.b");
  const step = fc.record({
    client: fc.nat(4),
    control: fc.constantFrom("subscribe" as const, "unsubscribe" as const),
    events: fc.array(pattern, { maxLength: 3 }),
    queue: fc.option(fc.constantFrom("q", "p"), { nil: undefined }),
    isNumbered: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
    const { audiences, listeners } = setUp(5);
    for (const { client, isNumbered, queue, ...request } of steps) {
      const listener = listeners[client]!;
      const after = listener.subscriptions.after({ ...request, ...(queue && { queue }) });
      audiences.move(listener, after, isNumbered);
    }
    for (const name of ["a", "b", "c", "a.b", "a.c", "b.b"]) {
      const plain = [...audiences.everything.members].map(({ recipient }) => recipient.id);
      plain.push(...reached(audiences, name));
      const expected = listeners.filter(({ subscriptions }) =>
        !subscriptions.isNarrowed ||
        [...subscriptions].some(([pattern, queue]) => queue === "" && matches(pattern, name))
      );
      assertEquals(plain.sort(), expected.map(({ recipient }) => recipient.id).sort(), name);
      const queued = [...audiences.reach(name).queues.values()].flat().length;
      const pairs = listeners.flatMap(({ subscriptions }) =>
        ["q", "p"].filter((name_) =>
          [...subscriptions].some(([pattern, queue]) => queue === name_ && matches(pattern, name))
        )
      );
      assertEquals(queued, pairs.length, name);
    }
    for (const listener of listeners) audiences.leave(listener);
    assertEquals([audiences.isIdle, audiences.everything.members.size], [true, 0]);
  }));
});

Deno.test("Audiences take no longer for patterns and queues that look like integers", () => {
  let isWrong = false;
  assertNoDearer(8000, (texts) => {
    const { audiences, listeners } = setUp(8);
    listeners.forEach((listener, i) => {
      const some = texts.slice(1000 * i, 1000 * (i + 1));
      wish(audiences, listener, some);
      for (const queue of some.slice(0, 100)) wish(audiences, listener, ["x"], { queue });
    });
    for (const text of texts) isWrong ||= audiences.reach(text).audiences.length !== 1;
  });
  assertEquals(isWrong, false);
});

Deno.test("Audiences finds whom a new name reaches in little time, whatever wildcards clients have", () => {
  const { audiences, listeners } = setUp(60);
  let kept = 0;
  listeners.forEach((listener, client) => {
    // All of them match, and no two clients have one in common, until a client may have no more.
    for (let i = 0; i < 1000; i++) {
      const bits = (1000 * client + i).toString(2).padStart(16, "0");
      const pattern = `${bits.replaceAll("0", "a.").replaceAll("1", "*.")}>`;
      const after = listener.subscriptions.after({ control: "subscribe", events: [pattern] });
      if (after.places > MAX_WILDCARD_PLACES) return;
      audiences.move(listener, after, false);
      kept++;
    }
  });
  assertLess(kept, 60 * MAX_WILDCARD_PLACES);
  const start = performance.now();
  for (let i = 0; i < 500; i++) {
    assertEquals(audiences.reach(`${"a.".repeat(16)}${i}`).audiences.length, 60);
  }
  // It takes 0.05 s. With all thousand patterns of each client it would take more than ten.
  assertLess(performance.now() - start, 3000);
});
