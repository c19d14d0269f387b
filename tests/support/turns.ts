/**
 * Owns the one way in which tests let other code run without waiting for time to pass.
 *
 * @module
 */

/**
 * One turn of the event loop: all that can go on without input from outside has gone on by then, as
 * promises and streams are moved by microtasks.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
