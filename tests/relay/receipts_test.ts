import { assertEquals } from "@std/assert/equals";
import { Batch } from "../../server/member_diff.ts";
import { Delivery, Receipts, sendReceipts } from "../../relay/receipts.ts";
import { FakeRecipient } from "../support/routes.ts";

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
  const receipts = new Receipts<FakeRecipient>(sendReceipts);
  receipts.add(publisher, delivery);
  receipts.answer();
  assertEquals(publisher.eventsOut, 0);
  return publisher.text;
}

Deno.test("Receipts.answer() reports the number of recipients, without the one that is left out", () => {
  assertEquals(told("e", null, []), '{"control":"ack","id":"e","clients":0}\n');
  assertEquals(
    told("e", null, [[2, false], [3, true]]),
    '{"control":"ack","id":"e","clients":4}\n',
  );
});

Deno.test("Receipts.answer() answers a request only if it had no recipient", () => {
  assertEquals(told(null, "r", [[1, false]]), "");
  assertEquals(told(null, "r", [[0, false]]), '{"control":"ack","id":"r","clients":0}\n');
  assertEquals(told("e", "r", [[1, false]]), '{"control":"ack","id":"e","clients":1}\n');
  assertEquals(
    told("e", "r", []),
    '{"control":"ack","id":"e","clients":0}\n{"control":"ack","id":"r","clients":0}\n',
  );
});

Deno.test("Receipts.answer() answers each publisher in the order of its events, once they are queued", () => {
  const receipts = new Receipts<FakeRecipient>(sendReceipts);
  const [one, two] = [new FakeRecipient(1), new FakeRecipient(2)];
  const batch = new Batch();
  const [first, second, other] = ["first", "second", "other"].map((id) => new Delivery(id, null));
  first!.add(batch, false);
  receipts.add(one, first!);
  receipts.add(one, second!);
  receipts.add(two, other!);
  receipts.answer();
  assertEquals(one.text, "");
  assertEquals(two.text, '{"control":"ack","id":"other","clients":0}\n');
  assertEquals(receipts.count(one), 2);
  assertEquals(receipts.count(two), 0);
  batch.accepted = 3;
  receipts.answer();
  assertEquals(
    one.text,
    '{"control":"ack","id":"first","clients":3}\n{"control":"ack","id":"second","clients":0}\n',
  );
  assertEquals(receipts.count(one), 0);
});
