/**
 * The end of a test with fleets: all clients pause, the events in flight arrive, all clients end,
 * and the ledger must balance.
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { until } from "../support/waiting.ts";
import type { Fleet } from "./fleet.ts";
import type { Balance, Ledger } from "./ledger.ts";

/** How often the ledger is looked at, in milliseconds. */
const LOOK_MS = 100;

/** Brings `fleets`, all that there are, to an end, and draws the balance. */
export async function settle(ledger: Ledger, fleets: readonly Fleet[]): Promise<Balance> {
  await Promise.all(fleets.map((fleet) => fleet.rest()));
  const isComplete = () => ledger.balance().missing === 0;
  await until(isComplete, { everyMs: LOOK_MS }).catch(() => {}); // The balance says more.
  for (const fleet of fleets) assertEquals([...fleet.iterated], [], "An iteration has ended early");
  const outcomes = await Promise.all(fleets.map((fleet) => fleet.finish()));
  for (const outcome of outcomes) assertEquals(outcome, { code: 0, stderr: "" });
  return ledger.balance();
}

/** Does what {@link settle} does, and fails unless every event is accounted for. */
export async function assertBalanced(ledger: Ledger, fleets: readonly Fleet[]): Promise<Balance> {
  const balance = await settle(ledger, fleets);
  assertEquals(balance.unexplained, 0, JSON.stringify(balance, null, 2));
  return balance;
}
