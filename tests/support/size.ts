/**
 * The size of the long tests: small in every test run, full with `EBSOCKETS_FULL=1` in the
 * environment. The code is the same.
 *
 * @module
 */

/** Whether the long tests have their full size. */
export const isFull: boolean = Deno.env.get("EBSOCKETS_FULL") === "1";

/** `small`, or `full` in a full run. */
export function size(small: number, full: number): number {
  return isFull ? full : small;
}
