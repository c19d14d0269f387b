/**
 * Divides the time for replays among the clients. All replays together get a quarter of each turn.
 *
 * @module
 */

import { clearTimers, nextTurn } from "../net/turn.ts";
import type { Replay } from "./replay.ts";

/** Time for all replays in a turn, in milliseconds. A turn takes about 2 ms under load. */
const SLICE_MS = 0.5;

/** Runs the replays of one relay. */
export class ReplayScheduler {
  readonly #onIdle: () => void;
  /** The replays that can go on, those that have waited longest first. */
  readonly #ready = new Set<Replay>();
  /** Number of replays that wait for room or for a block. */
  #waiting = 0;
  #isRunning = false;
  #isStopped = false;

  /** Creates a scheduler. `onIdle` is called when the last replay has ended. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** Lets a replay go on, at once if no other has used the time of this turn. */
  start(replay: Replay): void {
    this.#ready.add(replay);
    if (!this.#isRunning && !this.#isStopped) this.#run();
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
      this.#runSlice();
      await nextTurn(this);
    }
    this.#isRunning = false;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (!this.#isRunning && this.#waiting === 0) this.#onIdle();
  }

  #runSlice(): void {
    const end = performance.now() + SLICE_MS;
    for (const replay of this.#ready) {
      this.#ready.delete(replay);
      const need = replay.step();
      if (need === "step") this.#ready.add(replay); // after all others
      else if (need === "room") this.#wait(replay, replay.client.recipient.flush());
      else if (need !== "nothing") this.#wait(replay, need);
      if (performance.now() >= end) return;
    }
  }

  /** Lets a replay go on after a wait. If the wait fails, the client has left. */
  async #wait(replay: Replay, wait: Promise<void>): Promise<void> {
    this.#waiting++;
    const isOver = await wait.then(() => true, () => false);
    this.#waiting--;
    if (isOver) this.start(replay);
    else this.#checkIdle();
  }
}
