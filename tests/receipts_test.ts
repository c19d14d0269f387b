import { assertEquals } from "@std/assert/equals";
import { Batch } from "../audience.ts";
import { answer, Delivery } from "../receipts.ts";
import { FakeRecipient } from "./support/routes.ts";

function batchOf(accepted: number): Batch {
  const batch = new Batch();
  batch.accepted = accepted;
  return batch;
}

/** What a publisher is told of an event that went along with these batches. */
function told(ack: string | null, request: string | null, batches: [number, boolean][]): string {
  const publisher = new FakeRecipient(1);
  const delivery = new Delivery(ack, request);
  for (const [accepted, isLeftOut] of batches) delivery.add(batchOf(accepted), isLeftOut);
  answer(publisher, [delivery]);
  assertEquals(publisher.eventsOut, 0);
  return publisher.text;
}

Deno.test("answer() says for how many clients an event was queued, without one that is left out", () => {
  assertEquals(told("e", null, []), '{"control":"ack","id":"e","clients":0}\n');
  assertEquals(
    told("e", null, [[2, false], [3, true]]),
    '{"control":"ack","id":"e","clients":4}\n',
  );
});

Deno.test("answer() says nothing of a request, unless nobody was there", () => {
  assertEquals(told(null, "r", [[1, false]]), "");
  assertEquals(told(null, "r", [[0, false]]), '{"control":"ack","id":"r","clients":0}\n');
  assertEquals(told("e", "r", [[1, false]]), '{"control":"ack","id":"e","clients":1}\n');
  assertEquals(
    told("e", "r", []),
    '{"control":"ack","id":"e","clients":0}\n{"control":"ack","id":"r","clients":0}\n',
  );
});
