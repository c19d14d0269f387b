/**
 * The demand for writes, and how long to gather events before writing.
 *
 * A write costs about the same for one event as for fifty. If many peers send to many readers, each
 * event costs a write for every reader, and single events would soon use up all the time. So the
 * code that routes events asks {@link gatherTime} how long to keep gathering events before writing.
 * The answer is 0 while there is time to write each event separately. Otherwise it is long enough
 * to keep writing at about half of the time.
 *
 * The answer depends on the demand: the writes that would have been needed without any gathering,
 * not the writes that were made. Otherwise gathering would lower its own measure, stop, and start
 * again.
 *
 * All relays of a process write in the time of the one event loop. So the demand and the measured
 * duration of a write are state of this module.
 *
 * @module
 */

/**
 * Demand at which gathering begins, and demand from which on it is full. 1 stands for all available
 * time.
 */
const MIN_DEMAND = 1;
const FULL_DEMAND = 1.5;

/** Upper bound of the measured demand, so that it is forgotten within 40 ms of silence. */
const MAX_DEMAND = 2;

/** Time over which the demand is measured, in milliseconds. */
const DEMAND_MS = 50;

/** Share of the time that writing should take while events are fully gathered. */
const WRITING_SHARE = 0.45;

/** Shortest useful gathering time, in milliseconds. Timers are no more precise. */
const MIN_GATHER_MS = 1;

/** Number of timed rounds of which the quickest one counts. */
const MEASURED_ROUNDS = 8;

/**
 * Duration of a short write, in milliseconds, measured where nothing else came between. The initial
 * value is typical.
 */
let writeMs = 0.006;
let quickest = Infinity;
let rounds = 0;

/**
 * Share of the time that writing each event separately would take, and when it was last updated.
 */
let demand = 0;
let demandAt = 0;

/** Notes that `writes` short writes took `ms` milliseconds. */
export function noteWrites(writes: number, ms: number): void {
  quickest = Math.min(quickest, ms / writes);
  writeMs = Math.min(writeMs, quickest);
  if (++rounds < MEASURED_ROUNDS) return;
  writeMs = quickest;
  quickest = Infinity;
  rounds = 0;
}

/**
 * Notes the demand of newly received events.
 *
 * @param writes The number of short writes that they would need without gathering.
 * @param now The current time, by the clock of `performance.now()`.
 */
export function noteDemand(writes: number, now: number): void {
  const decayed = demand * Math.exp((demandAt - now) / DEMAND_MS);
  demand = Math.min(MAX_DEMAND, decayed + writes * writeMs / DEMAND_MS);
  demandAt = now;
}

/**
 * Returns how long to gather events from now on, in milliseconds. Returns 0 while there is time to
 * write each event separately.
 *
 * @param writes The number of short writes that the gathered events will need.
 * @param max The longest time to return, in milliseconds.
 */
export function gatherTime(writes: number, max: number): number {
  const excess = Math.min(1, (demand - MIN_DEMAND) / (FULL_DEMAND - MIN_DEMAND));
  const ms = Math.min(max, excess * writes * writeMs / WRITING_SHARE);
  return ms < MIN_GATHER_MS ? 0 : ms;
}
