/** Owns waiting in tests: for the thing itself, and never for ever. */

import { size } from "./size.ts";

/** How long a test waits for anything, in milliseconds: far longer than it takes. */
export const PATIENCE = size(30_000, 90_000);

/** What `promise` resolves to, or an error that says what was waited for instead of a hang. */
export async function soon<T>(promise: Promise<T>, what: string | (() => string)): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`Waited ${PATIENCE} ms for ${typeof what === "string" ? what : what()}`));
  }, PATIENCE);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `condition` holds, looking again at every turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited ${PATIENCE} ms until ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
