/**
 * Takes the place of `net/turn.ts` in `client.js`. A page has one peer, and writes nothing itself, so
 * a turn only bounds the time until the browser can do something else.
 *
 * @module
 */

/** The length of a turn, in milliseconds. */
const TURN_MS = 4;

let began = performance.now();

/** Returns whether the turn is over. */
export function turnIsOver(): boolean {
  return performance.now() - began > TURN_MS;
}

/** Waits until the browser has had a turn. It delays timers in hidden pages, but not messages. */
export async function nextTurn(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
  port1.close();
  began = performance.now();
}

export function clearTimers(): void {}
