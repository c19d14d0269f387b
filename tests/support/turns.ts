/**
 * Lets other code run in tests, and sets how busy it seems, without waiting for time to pass.
 *
 * @module
 */

import { nextTurn } from "../../net/turn.ts";
import { noteWrites } from "../../net/write_demand.ts";

/**
 * A turn of the event loop, and the next: all that can go on without input from outside has gone on
 * by then, as promises and streams are moved by microtasks. A write for which a turn has no time
 * left, as on a busy machine, is made in the next.
 */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  await nextTurn();
}

/** Has the process believe that a short write takes so long, in milliseconds: it gathers more, or nothing. */
export function pretendWritesTake(ms: number): void {
  for (let i = 0; i < 8; i++) noteWrites(1, ms);
}
