import { assertEquals } from "@std/assert/equals";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { SubscriptionTable } from "../../relay/subscription_table.ts";
import { RouteCache } from "../../relay/route_cache.ts";
import { utf8 } from "../support/bytes.ts";
import { FakeRecipient } from "../support/routes.ts";

function setUp() {
  const groups = new SubscriptionTable<FakeRecipient>();
  const cache = new RouteCache(groups);
  const find = (name: string) => cache.find(utf8(`"${name}"`), 1, 1 + utf8(name).length);
  const subscribe = (id: number, events: string[], queue?: string) => {
    const subscriber = groups.join(new FakeRecipient(id));
    const request = { control: "subscribe", events, ...(queue && { queue }) } as const;
    groups.move(subscriber, subscriber.subscriptions.after(request), false);
    return subscriber;
  };
  return { groups, cache, find, subscribe };
}

Deno.test("RouteCache.find() returns the same route for the same bytes", () => {
  const { find } = setUp();
  const [a, b] = [find("a"), find("b")];
  assertStrictEquals(find("a"), a);
  assertStrictEquals(find("b"), b);
  assertNotStrictEquals(a, b);
});

Deno.test("RouteCache.find() looks up again when an event may reach others", () => {
  const { groups, find, subscribe } = setUp();
  assertEquals(find("a").groups, []);
  const one = subscribe(1, ["a"]);
  assertEquals(find("a").groups, [one.group]);
  subscribe(2, ["*"], "q");
  assertEquals(find("a").queues.map(({ groups }) => groups.length), [1]);
  groups.leave(one);
  assertEquals(find("a").groups, []);
});

Deno.test("RouteCache.find() resolves the escapes of a name", () => {
  const { find, subscribe } = setUp();
  const one = subscribe(1, ["é.*"]);
  for (const spelled of ["é.b", "\\u00e9.b", "\\u00E9\\u002eb"]) {
    assertEquals(find(spelled).name, "é.b");
    assertEquals(find(spelled).groups, [one.group]);
  }
});

Deno.test("RouteCache counts by name, also across evictions", () => {
  const { cache, find } = setUp();
  find("a");
  cache.startCounting();
  for (let i = 0; i < 3; i++) find("a");
  // Twice: of what comes once among more names than can be kept, some is lost.
  for (let i = 0; i < 2; i++) find("\\u0061");
  for (let i = 0; i < 2; i++) find("b");
  for (let i = 0; i < 100_000; i++) find(`flood.${i}`);
  find("b");
  assertEquals(cache.counts(2), [
    { name: "a", events: 5, hearers: 0 },
    { name: "b", events: 3, hearers: 0 },
  ]);
  cache.startCounting();
  find("b");
  assertEquals(cache.counts(10), [{ name: "b", events: 1, hearers: 0 }]);
});

Deno.test("RouteCache finds the right route under a flood of names", () => {
  const { find, subscribe } = setUp();
  const one = subscribe(1, ["a.>"]);
  for (let i = 0; i < 100_000; i++) {
    assertStrictEquals(find(`a.${i}`).groups[0], one.group);
    assertEquals(find(`b.${i}`).groups.length, 0);
  }
});

Deno.test("RouteCache.counts() stops counting hearers after so many groups", () => {
  const { cache, find, subscribe } = setUp();
  for (let id = 1; id <= 2000; id++) subscribe(id, ["*"], `q${id % 7}`);
  cache.startCounting();
  for (let i = 0; i < 100; i++) find(`name-${i}`);
  const hearers = cache.counts(100).map((each) => each.hearers);
  assertEquals(hearers, [...Array(6).fill(7), ...Array(94).fill(undefined)]);
});
