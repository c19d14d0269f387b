/**
 * Lets other code run in tests, and sets how busy it seems, without waiting for time to pass.
 *
 * @module
 */

import { noteWrites } from "../../net/write_demand.ts";

/**
 * One turn of the event loop: all that can go on without input from outside has gone on by then, as
 * promises and streams are moved by microtasks.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Has the process believe that a short write takes so long, in milliseconds: it gathers more, or nothing. */
export function pretendWritesTake(ms: number): void {
  for (let i = 0; i < 8; i++) noteWrites(1, ms);
}
