import { assertEquals } from "@std/assert/equals";
import { assertObjectMatch } from "@std/assert/object-match";
import { type Entry, Ledger } from "./ledger.ts";

/** A ledger with `a`, which sends, and `b`, which is connected from 0 on. */
function ledgerOf(...entries: Entry[]): Ledger {
  const ledger = new Ledger();
  ledger.add({ kind: "joined", client: "b", at: 0, id: "c1" });
  for (const entry of entries) ledger.add(entry);
  return ledger;
}

function sent(first: number, last: number, at: number): Entry {
  return { kind: "sent", client: "a", first, last, at };
}

function confirmed(last: number, at: number): Entry {
  return { kind: "confirmed", client: "a", last, at };
}

function received(first: number, last: number): Entry {
  return { kind: "received", client: "b", from: "a", first, last };
}

function left(at: number, reason: string): Entry {
  return { kind: "left", client: "b", at, reason };
}

Deno.test("Ledger has nothing unexplained if everything has arrived once and in order", () => {
  const balance = ledgerOf(
    sent(1, 10, 1000),
    received(1, 4),
    confirmed(10, 1100),
    received(5, 10),
  ).balance();
  assertEquals(balance.unexplained, 0, balance.examples.join("\n"));
  assertObjectMatch(balance, { sent: 10, confirmed: 10, received: 10 });
});

Deno.test("Ledger misses a confirmed event that a connected client lacks", () => {
  const balance = ledgerOf(sent(1, 10, 1000), confirmed(10, 1100), received(1, 9)).balance();
  assertObjectMatch(balance, { missing: 1, unexplained: 1 });
});

Deno.test("Ledger misses an event out of the middle, also of a connection that broke", () => {
  const balance = ledgerOf(
    sent(1, 10, 1000),
    confirmed(10, 1100),
    received(1, 4),
    received(6, 8),
    left(2000, "reset"),
  ).balance();
  assertEquals(balance.missing, 1);
  assertEquals(balance.lostWithConnection, { reset: 2 });
});

Deno.test("Ledger misses events that were confirmed before a relay ended a connection in order", () => {
  const entries = [sent(1, 10, 1000), confirmed(10, 1100), received(1, 9)];
  assertEquals(ledgerOf(...entries, left(2000, "shutdown")).balance().missing, 1);
  assertEquals(ledgerOf(...entries, left(2000, "reset")).balance().missing, 0);
});

Deno.test("Ledger misses the last confirmed events of a relay, and not those of the next one", () => {
  const here: Entry = { kind: "joined", client: "a", at: 0, id: "c2" };
  const gone: Entry = { kind: "left", client: "a", at: 1100, reason: "shutdown" };
  const back: Entry = { kind: "joined", client: "a", at: 1200, id: "c1" };
  const echo: Entry = { kind: "received", client: "a", from: "a", first: 1, last: 1 };
  const entries = [here, sent(1, 1, 1000), echo, left(1050, "shutdown")];
  assertEquals(ledgerOf(...entries, confirmed(1, 1060), gone).balance().missing, 1);
  assertEquals(ledgerOf(...entries, gone, back, confirmed(1, 1210)).balance().missing, 0);
});

Deno.test("Ledger excuses a client that was not connected all the time", () => {
  const late = ledgerOf(left(900, "reset"), sent(1, 10, 1000), confirmed(10, 1100)).balance();
  assertEquals(late.unexplained, 0);
  assertEquals(late.lostWithConnection, {});
  const meanwhile = ledgerOf(sent(1, 10, 1000), left(1050, "shutdown"), confirmed(10, 1100));
  assertEquals(meanwhile.balance().unexplained, 0);
});

Deno.test("Ledger expects events again after a client has reconnected", () => {
  const balance = ledgerOf(
    left(500, "reset"),
    { kind: "joined", client: "b", at: 900, id: "c1" },
    sent(1, 2, 1000),
    confirmed(2, 1100),
    received(1, 1),
  ).balance();
  assertEquals(balance.missing, 1);
});

Deno.test("Ledger does not miss events that their sender knows as unconfirmed, refused or unsent", () => {
  for (const kind of ["unconfirmed", "refused", "unsent"] as const) {
    const doubt = { kind, client: "a", first: 2, last: 3 };
    const balance = ledgerOf(sent(1, 3, 1000), received(1, 1), doubt, confirmed(3, 1100)).balance();
    assertObjectMatch(balance, { unexplained: 0, confirmed: 1 });
    assertEquals(balance[kind], 2);
  }
});

Deno.test("Ledger notices events that arrive twice, or in a wrong order", () => {
  const entries = [sent(1, 4, 1000), confirmed(4, 1100)];
  assertEquals(ledgerOf(...entries, received(1, 4), received(3, 4)).balance().disordered, 2);
  const { disordered, missing } = ledgerOf(...entries, received(3, 4), received(1, 2)).balance();
  assertEquals(disordered, 2);
  assertEquals(missing, 2);
});

Deno.test("Ledger notices events that were not sent, or were reported as unsent", () => {
  assertEquals(
    ledgerOf(sent(1, 4, 1000), confirmed(4, 1100), received(1, 5)).balance().invented,
    1,
  );
  assertEquals(ledgerOf(received(1, 5)).balance().invented, 5);
  const refused = { kind: "refused", client: "a", first: 1, last: 1 } as const;
  assertEquals(ledgerOf(sent(1, 1, 1000), refused, received(1, 1)).balance().invented, 1);
});

Deno.test("Ledger requires an outcome of every event, unless its sender was killed", () => {
  const ledger = ledgerOf(sent(1, 4, 1000), confirmed(2, 1100), received(1, 2));
  assertEquals(ledger.balance().unaccounted, 2);
  ledger.kill("a", 2000);
  const { unaccounted, cutShort } = ledger.balance();
  assertEquals(unaccounted, 0);
  assertEquals(cutShort, 2);
});
