/**
 * Remembers which clients of a relay have left last, and why.
 *
 * @module
 */

import type { CloseInfo } from "../errors.ts";
import { type DepartureReport, MAX_DEPARTURES, MAX_DETAIL } from "../protocol/report.ts";

/** The last departures of one relay. */
export class Departures {
  /** The departures, the last one at the end. */
  readonly #known: DepartureReport[] = [];

  /** Adds a client that has left. `uptimeMs` is the age of the relay, in milliseconds. */
  add(
    { id, address }: Pick<DepartureReport, "id" | "address">,
    { reason, detail }: Pick<CloseInfo, "reason" | "detail">,
    uptimeMs: number,
  ): void {
    // A slice would keep the whole text in memory.
    const short = detail.length > MAX_DETAIL
      ? [...detail.slice(0, MAX_DETAIL)].join("").toWellFormed()
      : detail;
    this.#known.push({ id, address, reason, detail: short, uptimeMs });
    // Dropping many at once is cheaper than dropping one each time.
    if (this.#known.length >= 2 * MAX_DEPARTURES) this.#known.splice(0, MAX_DEPARTURES);
  }

  /** Returns the last departures, the last one first. */
  latest(): DepartureReport[] {
    return this.#known.slice(-MAX_DEPARTURES).reverse();
  }
}
