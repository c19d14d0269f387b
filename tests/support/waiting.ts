/** Waits in tests: for a condition, and never for ever. */

import { size } from "./size.ts";

/** How long a test waits for anything, in milliseconds: far longer than it takes. */
export const PATIENCE = size(60_000, 120_000);

/** Resolves after `ms` milliseconds. Only for tests in which time itself matters. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves to the value of `promise`, or rejects with an error that names `what` instead of a hang. */
export async function soon<T>(promise: Promise<T>, what: string | (() => string)): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`Waited ${PATIENCE} ms for ${wordsOf(what)}`));
  }, PATIENCE);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How {@link until} waits. */
export interface UntilOptions {
  /** The condition in words, found when it is needed. By default, its source. */
  readonly what?: string | (() => string);
  /** The time between two checks, in milliseconds: longer for a check that costs something. */
  readonly everyMs?: number;
}

/** Resolves when `condition` holds. */
export async function until(
  condition: () => boolean,
  { what = `${condition}`, everyMs = 1 }: UntilOptions = {},
): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited ${PATIENCE} ms until ${wordsOf(what)}`);
    await pause(everyMs);
  }
}

function wordsOf(what: string | (() => string)): string {
  return typeof what === "string" ? what : what();
}

/** Resolves when `count` returns the same number twice in a row, `ms` milliseconds apart. */
export async function untilStill(count: () => number, ms: number): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  for (let before = NaN; before !== count();) {
    if (Date.now() > deadline) throw new Error(`Waited ${PATIENCE} ms until ${count} is still`);
    before = count();
    await pause(ms);
  }
}

/** Calls `attempt` until it succeeds, and resolves to its result. */
export async function eventually<T>(attempt: () => Promise<T>, everyMs = 20): Promise<T> {
  for (const deadline = Date.now() + PATIENCE;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await pause(everyMs);
  }
}
