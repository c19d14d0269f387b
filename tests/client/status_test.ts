import { assertEquals } from "@std/assert/equals";
import type { Address } from "../../protocol/address.ts";
import { type ClientStatus, StatusFeed } from "../../client/status.ts";

function connecting(attempt: number): ClientStatus {
  return { type: "connecting", address: ["127.0.0.1", 1], attempt, error: null };
}

const CLOSED: ClientStatus = {
  type: "closed",
  address: ["127.0.0.1", 1],
  info: { reason: "local", detail: "", unsentLines: 0, unsentBytes: 0 },
  unconfirmed: [],
  unsent: [],
  dropped: 0,
};

Deno.test("StatusFeed.read() starts with the current status, and ends with closed", async () => {
  const feed = new StatusFeed();
  const early = feed.read();
  feed.push(connecting(1));
  feed.push(connecting(2));
  const late = feed.read();
  feed.push(CLOSED);
  const after = feed.read();
  assertEquals(await Array.fromAsync(early), [connecting(1), connecting(2), CLOSED]);
  assertEquals(await Array.fromAsync(late), [connecting(2), CLOSED]);
  assertEquals(await Array.fromAsync(after), [CLOSED]);
});

Deno.test("StatusFeed.read() goes on in the next life of the client", async () => {
  const feed = new StatusFeed();
  feed.push(CLOSED);
  feed.push(connecting(1));
  const reader = feed.read();
  feed.push(CLOSED);
  assertEquals(await Array.fromAsync(reader), [connecting(1), CLOSED]);
});

Deno.test("StatusFeed.read() says that the relay is alone, until it is not or may be another one", async () => {
  const feed = new StatusFeed();
  const alone: ClientStatus = { type: "cluster", state: "alone" };
  const typesNow = async (count: number) => {
    const reader = feed.read();
    const types: string[] = [];
    while (types.length < count) types.push((await reader.next()).value!.type);
    await reader.return();
    return types;
  };
  const address: Address = ["127.0.0.1", 1];
  const connected: ClientStatus = { type: "connected", address, id: "c1" };
  const connecting: ClientStatus = { type: "connecting", address, attempt: 1, error: null };
  feed.push(alone);
  feed.push(connected);
  assertEquals(await typesNow(2), ["connected", "cluster"]);
  for (const next of [{ type: "cluster", state: "together" } as const, connecting]) {
    feed.push(alone);
    feed.push(next);
    feed.push(connected);
    const reader = feed.read();
    feed.push({ type: "gap", missed: 1 });
    assertEquals((await reader.next()).value!.type, "connected");
    assertEquals((await reader.next()).value!.type, "gap");
    await reader.return();
  }
});

Deno.test("StatusFeed keeps the last 100 for a reader that does not read", async () => {
  const feed = new StatusFeed();
  const reader = feed.read();
  for (let i = 1; i <= 1000; i++) feed.push(connecting(i));
  feed.push(CLOSED);
  const statuses = await Array.fromAsync(reader);
  assertEquals(statuses.length, 100);
  assertEquals(statuses[0], connecting(902));
  assertEquals(statuses.at(-1), CLOSED);
});

Deno.test("StatusFeed keeps thousands of refusals that arrive at once", async () => {
  const feed = new StatusFeed();
  const reader = feed.read();
  const refused = { type: "refused", event: "a", reason: "bad-attributes", detail: "" } as const;
  for (let i = 0; i < 5000; i++) feed.push(refused);
  for (let i = 0; i < 5000; i++) assertEquals(await reader.next(), { done: false, value: refused });
  feed.push(CLOSED);
  assertEquals(await Array.fromAsync(reader), [CLOSED]);
});

Deno.test("StatusFeed forgets a reader that has left its loop", async () => {
  const feed = new StatusFeed();
  feed.push(connecting(1));
  for await (const status of feed.read()) {
    assertEquals(status, connecting(1));
    break;
  }
  const waiting = feed.read();
  await waiting.next();
  const next = waiting.next();
  feed.push(connecting(2));
  assertEquals(await next, { done: false, value: connecting(2) });
  await waiting.return();
  assertEquals(await waiting.next(), { done: true, value: undefined });
});

Deno.test("StatusFeed.clear() makes readers wait for the next status", async () => {
  const feed = new StatusFeed();
  const early = feed.read();
  feed.push(connecting(1));
  feed.clear();
  const late = feed.read();
  feed.push(connecting(2));
  feed.push(CLOSED);
  assertEquals(await Array.fromAsync(early), [connecting(1), connecting(2), CLOSED]);
  assertEquals(await Array.fromAsync(late), [connecting(2), CLOSED]);
});
