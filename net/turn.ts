/**
 * The turn: the heartbeat of a process with many peers.
 *
 * A turn is the time from one poll of all sockets to the next. In each turn the process reads from
 * the peers that are ready, routes the received events, and then writes once to each reader:
 *
 *     poll all sockets -> read within a budget -> route -> write once per reader -> poll again
 *
 * **Reading budget.** Deno completes a read or write that is ready at once without polling any
 * other socket. While it has anything to do, it polls the sockets only on every 61st tick (tokio's
 * `event_interval`). A loop over reads from one busy peer, which always has more input ready,
 * therefore starves all others. So the process reads from busy peers for about 2 ms per turn, or 1
 * ms while other peers have data as well. {@link turnIsOver} returns whether this budget is used
 * up.
 *
 * The loop then has to wait for something that is never ready at once. Deno has nothing left to do
 * and asks the operating system which sockets are ready. {@link nextTurn} waits in this way, for a
 * timer. A timer of 0 ms is due at the second whole millisecond after it was set, and waiting for
 * one that is already due takes no time. So as long as work continues from turn to turn, each turn
 * sets one timer for its own end. If turns are to last only 1 ms, it sets another one for the end
 * of the next turn.
 *
 * **Writing once per reader.** A write has a high fixed cost. Everything queued in a turn is
 * therefore written at its end, with one write per reader, no matter how many events it holds; see
 * {@link writeSoon}. Writing has a budget of about 4 ms. With thousands of readers, those that do
 * not fit are written to in the following turns. Short writes do not wait for long ones.
 *
 * A process has one event loop, which all its relays and clients share. So what is known about the
 * turn is state of this module.
 *
 * @module
 */

import { noteWrites } from "./write_demand.ts";

// Reading

/** Length of a turn while only busy peers have data, in milliseconds. */
const TURN_MS = 2.1;

/** Length of a turn while other peers have data as well, in milliseconds. */
const SHARED_TURN_MS = 1.05;

/** How long other peers count as having data after they were last read, in milliseconds. */
const SHARED_MS = 50;

/**
 * Longest gap between two calls of {@link turnIsOver} that counts as continuous work, in
 * milliseconds. After a longer gap, a timer that was due and has not fired shows that there was
 * work all the same.
 */
const IDLE_MS = 5;

/** Least distance between two timers, in milliseconds, so that they are due at different times. */
const TIMER_GAP_MS = 0.9;

/** A timer that has been set and has not fired. */
interface Timer {
  readonly id: ReturnType<typeof setTimeout> | undefined;
  readonly fired: Promise<void>;
  /** Those that wait for it. */
  readonly waiting: Set<object>;
}

/** The function of Node and Deno. Browsers lack it. */
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };

/** All pending timers, oldest first. */
let timers: Timer[] = [];
let lastSet = 0;

let began = 0;
let lastAsked = 0;
/** Whether all sockets have been polled since the last call of {@link turnIsOver}. */
let hasTurned = false;
/** Whether work has continued since before this turn, or for a good part of it, as far as known. */
let goesOn = false;
/** The peer that last kept the loop busy. */
let busy: object | null = null;
let lastShared = -Infinity;
let isShared = false;
/** How often all sockets have been polled, as far as known. */
let ended = 0;
/** Grows with each read of a peer, and with the work that follows. */
let activity = 0;

/**
 * Returns whether the turn is over, which means that all sockets should be polled now. Call it
 * repeatedly while there is work.
 *
 * @param peer The peer that keeps the loop busy, if there is one.
 */
export function turnIsOver(peer: object | null = null): boolean {
  activity++;
  const now = performance.now();
  const isRare = now - lastAsked > IDLE_MS;
  // A single piece of work may take that long. In that case the timer shows it at the next call.
  if (isRare) goesOn = !hasTurned;
  if (hasTurned || isRare && timers.length === 0) began = now;
  hasTurned = false;
  lastAsked = now;
  busy = peer ?? busy;
  goesOn ||= now - began >= TIMER_GAP_MS;
  if (isShared) lastShared = now;
  isShared = false;
  const isShort = now - lastShared < SHARED_MS;
  if (peer && goesOn && timers.length < (isShort ? 2 : 1) && now - lastSet >= TIMER_GAP_MS) {
    setTimer(now);
  }
  return now - began >= (isShort ? SHARED_TURN_MS : TURN_MS);
}

/**
 * Notes that all sockets have been polled. The evidence is a read that followed a read which
 * emptied its socket, because such a read can only end after a poll. If a busy peer pauses often
 * enough, no turn has to be ended by a timer.
 */
export function noteTurn(): void {
  hasTurned = true;
  ended++;
}

/**
 * Notes that `peer` was read. If it is not the peer that keeps the loop busy, turns get shorter.
 */
export function shareTurns(peer: object): void {
  activity++;
  if (peer !== busy) isShared = true;
}

/**
 * Returns a number that grows while peers are read. Work in the background can use the time of all
 * while it stays the same.
 */
export function peerActivity(): number {
  return activity;
}

/**
 * Waits until all sockets have been polled and those that are ready have been read.
 *
 * @param waiter Who waits. After {@link clearTimers} with the same waiter, the promise may stay
 * pending forever.
 */
export function nextTurn(waiter: object = {}): Promise<void> {
  if (timers.length === 0) setTimer(performance.now());
  timers[0]!.waiting.add(waiter);
  return timers[0]!.fired;
}

/**
 * Clears the timers without a waiter. No timer should outlive the work it was set for.
 *
 * @param waiter Who does not wait any more.
 */
export function clearTimers(waiter: object): void {
  timers = timers.filter(({ id, waiting }) => {
    waiting.delete(waiter);
    return waiting.size > 0 || clearTimeout(id);
  });
}

function setTimer(now: number): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  lastSet = now;
  const fire = () => {
    timers = timers.filter(({ fired }) => fired !== promise);
    ended++;
    began = lastAsked = performance.now();
    // Reads that were found ready are delivered after the timers and the first of these callbacks.
    if (setImmediate) setImmediate(() => setImmediate(resolve));
    else resolve();
  };
  const id = setImmediate ? setTimeout(fire, 0) : postTask(fire);
  timers.push({ id, fired: promise, waiting: new Set() });
}

/** Calls `callback` in a task of its own. Browsers delay timers, but not messages. */
function postTask(callback: () => void): undefined {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    callback();
  };
  port2.postMessage(null);
}

// Writing

/**
 * Time that all writers may take before all sockets are polled again, in milliseconds. This is
 * twice the time needed to hand a full batch to each of 50 peers.
 */
const MAX_WRITING_MS = 4;

/** Time without a write after which all sockets have certainly been polled, in milliseconds. */
const NO_WRITE_MS = 10;

/** Longest short write, in bytes. It takes hardly longer than a write of a single byte. */
export const SHORT_BYTES = 16_384;

/** Fewest writes in a round that is timed. */
const MIN_MEASURED_WRITES = 32;

/** A writer. It writes once, then reports to the round in which it was started. */
interface Task {
  run(round: Round): Promise<void>;
}

/** Writes that were started together. */
export class Round {
  readonly #began = performance.now();
  #ended = 0;
  /**
   * Number of finished writes after which the time is taken. Not all writes, since some may wait
   * for their peers.
   */
  #measured = Infinity;

  /** Has the round timed, if it has enough writes for a meaningful result. */
  measure(writes: number): void {
    if (writes >= MIN_MEASURED_WRITES) this.#measured = Math.ceil(writes * 7 / 8);
  }

  /** Notes that one of the writes has ended. */
  end(): void {
    if (++this.#ended === this.#measured) noteWrites(this.#ended, performance.now() - this.#began);
  }
}

/**
 * Writers that share the writing budget. They start at the end of the current turn, with all bytes
 * queued in it.
 */
class Lane {
  #scheduled: Task[] = [];
  /** Writers for which no time was left. */
  #deferred: Task[] = [];
  #isDraining = false;
  /**
   * How long writers have taken since the last poll of all sockets, and when they were last timed.
   */
  #spent = 0;
  #lastSpent = 0;
  #turn = 0;

  add(writer: Task): void {
    if (this.#scheduled.push(writer) === 1) queueMicrotask(() => this.#startScheduled());
  }

  #startScheduled(): void {
    const writers = this.#scheduled;
    this.#scheduled = [];
    this.#start(writers);
  }

  /**
   * Starts as many writers as there is time for and leaves the others to later turns. Returns the
   * number of started writers.
   */
  #start(writers: readonly Task[]): number {
    const round = new Round();
    const began = performance.now();
    if (ended !== this.#turn || began - this.#lastSpent > NO_WRITE_MS) this.#spent = 0;
    this.#turn = ended;
    const before = this.#spent;
    let i = 0;
    while (i < writers.length && this.#spent < MAX_WRITING_MS) {
      writers[i++]!.run(round);
      this.#lastSpent = performance.now();
      this.#spent = before + this.#lastSpent - began;
    }
    round.measure(i);
    if (i < writers.length) this.#deferred.push(...writers.slice(i));
    if (this.#deferred.length > 0 && !this.#isDraining) this.#startDeferred();
    return i;
  }

  async #startDeferred(): Promise<void> {
    this.#isDraining = true;
    let next: Promise<void> | null = null;
    let started = 0;
    while (this.#deferred.length > 0 || next) {
      await (next ?? nextTurn());
      const writers = this.#deferred;
      this.#deferred = [];
      // If some writers will be left over, start the wait now, so that it has ended once these have
      // written.
      next = started > 0 && writers.length > 2 * started ? nextTurn() : null;
      this.#spent = 0; // Other writers may have used time of this turn; ignore it.
      started = this.#start(writers);
    }
    this.#isDraining = false;
  }
}

/** Two lanes, so that short writes do not wait for long ones. */
const shortLane = new Lane();
const longLane = new Lane();

/**
 * Lets a writer write at the end of this turn.
 *
 * @param writer The writer to run.
 * @param bytes The size of its send queue, which decides between the short and the long lane.
 */
export function writeSoon(writer: Task, bytes: number): void {
  (bytes <= SHORT_BYTES ? shortLane : longLane).add(writer);
}
