/**
 * Divides the time for replays among the clients. All replays together get a quarter of each turn, or
 * all of it while no client sends anything. A replay that fails ends alone, with its client.
 *
 * @module
 */

import { clearTimers, nextTurn, peerActivity } from "../net/turn.ts";
import type { Need, Replay } from "./replay.ts";

/** Time for all replays in a turn, in milliseconds. A turn takes about 2 ms under load. */
const SLICE_MS = 0.5;

/** The same while nothing is read from any client: all of a turn. */
const LONG_SLICE_MS = 2;

/** Number of turns without a read after which that is so. They take some 20 ms. */
const QUIET_TURNS = 10;

/** Runs the replays of one relay. */
export class ReplayScheduler {
  readonly #onIdle: () => void;
  /** The replays that can go on, those that have waited longest first. */
  readonly #ready = new Set<Replay>();
  /** Number of replays that wait for room or for a block. */
  #waiting = 0;
  #isRunning = false;
  /** What is left of the time for replays in this turn, in milliseconds. */
  #leftMs = 0;
  /** The value of {@link peerActivity} in the last turn, and number of turns since it has changed. */
  #activity = NaN;
  #quietTurns = 0;
  #isStopped = false;

  /** Creates a scheduler. `onIdle` is called when the last replay has ended. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** Lets a replay go on, at once if there is time left in this turn. */
  start(replay: Replay): void {
    if (this.#isStopped) return;
    this.#ready.add(replay);
    if (!this.#isRunning) this.#run();
    else queueMicrotask(() => this.#useRest()); // with others that have waited
  }

  /** Lets replays go on if there is time left in this turn. */
  #useRest(): void {
    if (this.#leftMs > 0) this.#runSlice();
  }

  /** Lets no replay go on. */
  stop(): void {
    this.#isStopped = true;
    this.#ready.clear();
    clearTimers(this);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#ready.size > 0) {
      const activity = peerActivity();
      this.#quietTurns = activity === this.#activity ? this.#quietTurns + 1 : 0;
      this.#activity = activity;
      this.#leftMs = this.#quietTurns >= QUIET_TURNS ? LONG_SLICE_MS : SLICE_MS;
      const next = nextTurn(this); // The turn begins now, so that the wait ends with the slice.
      this.#runSlice();
      await next;
    }
    this.#isRunning = false;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (!this.#isRunning && this.#waiting === 0) this.#onIdle();
  }

  #runSlice(): void {
    let now = performance.now();
    const end = now + this.#leftMs;
    for (const replay of this.#ready) {
      this.#ready.delete(replay);
      this.#runStep(replay);
      now = performance.now();
      if (now >= end) break;
    }
    this.#leftMs = end - now;
  }

  #runStep(replay: Replay): void {
    let need: Need;
    try {
      need = replay.step();
    } catch {
      return this.#giveUp(replay);
    }
    if (need === "step") this.#ready.add(replay); // after all others
    else if (need === "room") this.#waitForRoom(replay);
    else if (need !== "nothing") this.#waitForBlock(replay, need);
  }

  /** Lets a replay go on after its client has read. If the wait fails, the client has left. */
  #waitForRoom(replay: Replay): void {
    this.#wait(replay, replay.client.recipient.flush(), () => {});
  }

  #waitForBlock(replay: Replay, block: Promise<void>): void {
    this.#wait(replay, block, () => this.#giveUp(replay));
  }

  async #wait(replay: Replay, wait: Promise<void>, onFailure: () => void): Promise<void> {
    this.#waiting++;
    const isOver = await wait.then(() => true, () => false);
    this.#waiting--;
    if (isOver) return this.start(replay);
    onFailure();
    this.#checkIdle();
  }

  /** Closes the client of a replay that cannot go on. It comes back, and resumes. */
  #giveUp(replay: Replay): void {
    if (this.#isStopped) return; // The log is closed, too.
    replay.client.recipient.close("overloaded", "the history cannot be read");
  }
}
