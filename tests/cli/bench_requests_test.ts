import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { benchRequests } from "../../cli/benchmarks.ts";
import type { EbsocketEvent } from "../../protocol/event.ts";
import { testRelay } from "../../testing.ts";
import { connectorTo } from "../support/connector.ts";

const load = { events: 500, size: 128, publishers: 2, subscribers: 3, rate: null, parallel: 5 };

Deno.test("benchRequests() gets an answer to every request, and measures each", async () => {
  await using relay = testRelay();
  let seen = 0;
  const result = await benchRequests(connectorTo(relay), load, () => seen++);
  assertEquals(result.requests, 500);
  assertEquals(result.answered, 500);
  assertEquals(result.faults, []);
  assertEquals(result.latency.count, 500);
  assertEquals(seen, 500);
});

Deno.test("benchRequests() keeps the rate", async () => {
  await using relay = testRelay();
  const result = await benchRequests(
    connectorTo(relay),
    { ...load, events: 200, rate: 1000 },
    () => {},
  );
  assertEquals(result.answered, 200);
  assertGreaterOrEqual(result.elapsedMs, 199);
});

Deno.test("benchRequests() counts wrong replies, and reports errors", async () => {
  await using relay = testRelay();
  let answers = 0;
  const connector = connectorTo(relay, (client) => {
    const reply = client.reply.bind(client);
    const faulty = (event: EbsocketEvent, answer: EbsocketEvent) => {
      if (++answers % 100 === 0) answer.__dict__.n = -1;
      return reply(event, answer);
    };
    Object.assign(client, { reply: faulty });
  });
  const result = await benchRequests(connector, load, () => {});
  assertEquals(result.requests, 500);
  assertEquals(result.answered, 495);
  assertEquals(result.faults, ["Reply belongs to a different request (5 times)"]);
});
