import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLess } from "@std/assert/less";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  ConnectionClosedError,
  type EbsocketError,
  EventRefusedError,
  RequestTimeoutError,
} from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Inboxes } from "../../client/inboxes.ts";
import { PendingRequest, PendingRequests } from "../../client/pending_requests.ts";
import type { Receipt } from "../../protocol/control.ts";
import { utf8 } from "../support/bytes.ts";
import { assertNoDearer } from "../support/collisions.ts";
import { until } from "../support/waiting.ts";

/** Notes what comes, and goes after so many answers or receipts. */
class Noted extends PendingRequest {
  readonly notes: string[] = [];
  error: unknown;

  constructor(table: PendingRequests, readonly count = 1, survives = false) {
    super(table.nextId(), "ask", "them", (error) => this.onFail(error));
    this.survives = survives;
  }

  onFail(error: unknown): void {
    this.error = error;
    this.notes.push("failed");
  }

  override onReply(answer: EbsocketEvent): boolean {
    return this.notes.push(answer.event) === this.count;
  }

  override onReceipt({ clients }: Receipt): boolean {
    return this.notes.push(`${clients}`) === this.count;
  }
}

function start(timeout = Infinity, count = 1): { table: PendingRequests; waiter: Noted } {
  const table = new PendingRequests(new Inboxes({}));
  const waiter = new Noted(table, count);
  table.add(waiter, timeout);
  return { table, waiter };
}

const ANSWER = new EbsocketEvent("answer");

Deno.test("PendingRequests passes replies on until one ends the request", () => {
  const { table, waiter } = start(Infinity, 3);
  table.onReceipt({ id: waiter.id, clients: 2 });
  table.onReply(waiter.id, ANSWER, 1);
  assertEquals(table.size, 1);
  table.onReply(waiter.id, ANSWER, 1);
  assertEquals(table.size, 0);
  table.onReceipt({ id: waiter.id });
  assertEquals(waiter.notes, ["2", "answer", "answer"]);
});

Deno.test("PendingRequests.owns() separates late replies from those to other clients", () => {
  const { table, waiter } = start();
  assertFalse(table.owns("r1"));
  assertFalse(table.owns(new PendingRequests(new Inboxes({})).nextId()));
  table.remove(waiter);
  assert(table.owns(waiter.id));
  table.onReply(waiter.id, ANSWER, 1);
  assertEquals(waiter.notes, []);
});

Deno.test("PendingRequests ignores control lines that do not end a request", () => {
  const table = new PendingRequests(new Inboxes({}));
  const waiter = new PendingRequest(table.nextId(), "ask", "them", () => {});
  table.add(waiter, Infinity);
  table.onReceipt({ id: waiter.id, clients: 0 });
  table.onReply(waiter.id, ANSWER, 1);
  assertEquals(table.size, 1);
});

Deno.test("PendingRequests.onRefusal() rejects with the reason, and returns whether a request was pending", () => {
  const { table, waiter } = start();
  const refusal = { reason: "bad-attributes", detail: "content: expected a string" };
  assertFalse(table.onRefusal(refusal));
  assertFalse(table.onRefusal({ ...refusal, id: "other" }));
  assert(table.onRefusal({ ...refusal, id: waiter.id }));
  assertFalse(table.onRefusal({ ...refusal, id: waiter.id }));
  const { code, message } = waiter.error as EventRefusedError;
  assertInstanceOf(waiter.error, EventRefusedError);
  assertEquals(code, "bad-attributes");
  const why = "bad-attributes: content: expected a string";
  assertEquals(message, `Cannot ask them: the relay refuses it: ${why}`);
});

Deno.test("PendingRequests ends a wait when its time is up, the earliest first", async () => {
  const table = new PendingRequests(new Inboxes({}));
  const waiters = [3, 1, 2].map((timeout) => {
    const waiter = new Noted(table);
    table.add(waiter, timeout);
    return waiter;
  });
  const patient = new Noted(table);
  table.add(patient, 1_000_000);
  await until(() => table.size === 1);
  for (const [i, timeout] of [3, 1, 2].entries()) {
    const error = waiters[i]!.error as Error;
    assertInstanceOf(error, RequestTimeoutError);
    const why = `no answer within ${timeout} ms, its timeout; it may or may not have been done`;
    assertEquals(error.message, `Cannot ask them: ${why}`);
  }
  assertEquals(patient.notes, []);
  table.failAll("it is over");
});

Deno.test("PendingRequests notes in a time-out that the client reads nothing", async () => {
  const inboxes = new Inboxes({ maxUnreadEvents: 1 });
  inboxes.main.push([ANSWER], 1);
  const table = new PendingRequests(inboxes);
  const waiter = new Noted(table);
  table.add(waiter, 1);
  await until(() => table.size === 0);
  assertStringIncludes(
    (waiter.error as Error).message,
    "within 1 ms, its timeout; the inbox is full",
  );
});

Deno.test("PendingRequests rejects at a signal, and leaves no listener behind", () => {
  const table = new PendingRequests(new Inboxes({}));
  const controller = new AbortController();
  let listeners = 0;
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: EventListenerOrEventListenerObject) => {
    listeners++;
    add(type, listener);
  };
  signal.removeEventListener = (type: string, listener: EventListenerOrEventListenerObject) => {
    listeners--;
    remove(type, listener);
  };
  const waiters = [new Noted(table), new Noted(table)];
  for (const waiter of waiters) table.add(waiter, Infinity, signal);
  table.onReply(waiters[0]!.id, ANSWER, 1);
  assertEquals(listeners, 1);
  controller.abort(new Error("enough"));
  assertEquals(listeners, 0);
  assertEquals(table.size, 0);
  assertEquals(waiters[0]!.notes, ["answer"]);
  assertEquals((waiters[1]!.error as Error).message, "enough");
});

Deno.test("PendingRequests.disconnect() keeps those whose lines wait, or are repeated", () => {
  const table = new PendingRequests(new Inboxes({}));
  const [sent, waiting, repeated] = [
    new Noted(table),
    new Noted(table),
    new Noted(table, 1, true),
  ] as const;
  sent.line = utf8("same\n");
  waiting.line = utf8("same\n");
  for (const waiter of [sent, waiting, repeated]) table.add(waiter, Infinity);
  table.disconnect(new Set([waiting.line]));
  assertEquals(sent.notes, ["failed"]);
  assertEquals(waiting.notes, []);
  assertEquals(repeated.notes, []);
  assertInstanceOf(sent.error, ConnectionClosedError);
  table.onDrop(sent.line, "queue-full");
  table.onDrop(waiting.line, "queue-full");
  assertEquals((waiting.error as EbsocketError).code, "queue-full");
  table.failAll("it is over");
  assertEquals((repeated.error as Error).message, "Cannot ask them: it is over");
  assertEquals(table.size, 0);
});

Deno.test("PendingRequests goes on when one outcome leads to the next", async () => {
  const table = new PendingRequests(new Inboxes({}));
  class Chained extends Noted {
    override onFail(error: unknown): void {
      super.onFail(error);
      table.fail(other, new Error("with the first"));
      table.add(new Noted(table), 1);
    }
  }
  const other: Noted = new Noted(table);
  table.add(new Chained(table), 1);
  table.add(other, 1);
  await until(() => table.size === 0);
  assertEquals((other.error as Error).message, "with the first");
  assertEquals(other.notes, ["failed"]);
});

Deno.test("PendingRequests.nextId() returns ids that cannot be guessed from the last one", () => {
  const table = new PendingRequests(new Inboxes({}));
  const ids = Array.from({ length: 1000 }, () => table.nextId());
  assert(ids.every((id) => id.length === 12 && table.owns(id)));
  // All characters behind what tells that they are ours change, each from one to the next.
  for (let i = 4; i < 12; i++) {
    const same = ids.filter((id, k) => id[i] === ids[k - 1]?.[i]).length;
    assertLess(same, 100, `${same} of 1000 at ${i}`);
  }
});

Deno.test("PendingRequests is as fast with ids that look like integers", () => {
  const { table } = start();
  let found = false;
  assertNoDearer(20_000, (ids) => {
    for (const id of ids) {
      found ||= table.owns(id) || table.onRefusal({ id, reason: "", detail: "" });
    }
  });
  assertFalse(found);
});
