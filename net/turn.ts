/**
 * Owns the heartbeat of a process that has many peers: a turn of the event loop, in which it reads what is
 * ready, each busy peer within a budget, passes it on, and then writes once to each reader. Must not know
 * connections or lines.
 *
 * **Reading.** Deno resolves a read or a write that is ready at once without a look at any other socket,
 * and while it has anything to do, it looks at them only every 61st time (tokio's `event_interval`). So
 * a loop that reads from a busy peer has to wait now and then for something that is never ready at
 * once: then Deno has nothing to do, and asks the operating system which sockets are ready.
 *
 * A timer is such a thing, and waiting for one that is due takes no time. A timer of 0 ms is due at
 * the second whole millisecond after it was set. So while the work goes on, turn after turn, one is
 * set in each turn for its end, and where turns of 1 ms are wanted, for the end of the next.
 *
 * **Writing.** All that was queued in a turn is written at its end, with one write for each reader. That too
 * has a budget: if there are thousands of readers, the others are written to in the next turns.
 *
 * **Gathering.** A write costs about the same for one event as for fifty. Where many talk to many, single
 * events would soon take all the time there is, since each is a write for every reader. So whoever passes
 * events on asks before: {@link gatherTime} says how long to go on gathering. While there is time enough to
 * write each event by itself, the answer is 0. Where there is not, it is so long that writing takes about half
 * the time. What it follows from is not what was written but what would have been written without any
 * gathering, so that gathering does not lead to less gathering, and that to more again.
 *
 * @module
 */

// Reading

/** How long a turn is while only busy peers have anything to say, in milliseconds. */
const TURN_MS = 2.1;

/** How long it is while others have something to say, too. */
const SHARED_TURN_MS = 1.05;

/** For how long others count as having something to say, in milliseconds. */
const SHARED_MS = 50;

/**
 * After how long without a question there may have been no work, in milliseconds. A timer that was due
 * meanwhile, and has not fired, says that there was.
 */
const IDLE_MS = 5;

/** How far apart timers are set, in milliseconds, so that they are due at different times. */
const TIMER_GAP_MS = 0.9;

/** A timer that has been set and has not fired. */
interface Timer {
  readonly id: ReturnType<typeof setTimeout>;
  readonly fired: Promise<void>;
  isAwaited: boolean;
}

/** All of them, the oldest first. */
let timers: Timer[] = [];
let lastSet = 0;

let began = 0;
let lastAsked = 0;
/** Whether all sockets have been looked at since then. */
let hasTurned = false;
/** Whether there has been work since before this turn, or for a good part of it, as far as is known. */
let goesOn = false;
/** Who has kept the loop busy last. */
let busy: object | null = null;
let lastShared = -Infinity;
let isShared = false;
let ended = 0;

/** How often all sockets have been looked at, as far as is known. */
export function turnsEnded(): number {
  return ended;
}

/**
 * Whether all sockets should be looked at now. To be asked while there is work, again and again; with
 * the peer, if it is one that keeps the loop busy.
 */
export function turnIsOver(peer: object | null = null): boolean {
  const now = performance.now();
  const isRare = now - lastAsked > IDLE_MS;
  // Each piece of work may take so long by itself: a timer tells at the next question.
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
 * Says that all sockets have been looked at: a read has ended that had to wait for that, as it came
 * after one that took all there was. Where a busy peer pauses often enough, no turn needs an end.
 */
export function noteTurn(): void {
  hasTurned = true;
  ended++;
}

/** Says that a peer has been heard. If it is not the one that keeps the loop busy, turns get shorter. */
export function shareTurns(peer: object): void {
  if (peer !== busy) isShared = true;
}

/** Waits until all sockets have been looked at, and those that were found ready have been read. */
export function nextTurn(): Promise<void> {
  if (timers.length === 0) setTimer(performance.now());
  timers[0]!.isAwaited = true;
  return timers[0]!.fired;
}

/** Clears the timers that nobody waits for: none is to outlive the work that it was set for. */
export function clearTimers(): void {
  timers = timers.filter(({ id, isAwaited }) => isAwaited || clearTimeout(id));
}

function setTimer(now: number): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  lastSet = now;
  const id = setTimeout(() => {
    timers.shift();
    ended++;
    began = lastAsked = performance.now();
    // Reads that were found ready are delivered after timers and the first of these.
    setImmediate(() => setImmediate(resolve));
  }, 0);
  timers.push({ id, fired: promise, isAwaited: false });
}

// Writing

/**
 * How long all writers may take before all sockets are looked at again, in milliseconds: twice what it
 * takes to hand a full batch to each of 50 peers.
 */
const MAX_WRITING_MS = 4;

/** After how long without a write all sockets have been looked at in any case, in milliseconds. */
const NO_WRITE_MS = 10;

/** Up to how many bytes a write is short: it takes not much longer than one of a single byte. */
export const SHORT_BYTES = 16_384;

/** What a writer has to do: to write once, and then to tell the round in which it began. */
interface Task {
  run(round: Round): Promise<void>;
}

/** Writes that were begun together. */
export class Round {
  readonly #began = performance.now();
  #ended = 0;
  /** After how many of them their time is taken: not all, as some may have to wait for their peers. */
  #measured = Infinity;

  /** Has the time of the writes taken, if there were enough of them to tell. */
  measure(writes: number): void {
    if (writes >= MIN_MEASURED_WRITES) this.#measured = Math.ceil(writes * 7 / 8);
  }

  /** One of the writes has ended. */
  end(): void {
    if (++this.#ended === this.#measured) noteWrites(this.#ended, performance.now() - this.#began);
  }
}

/** Writers that take turns. They start when the current turn is over, with all that it has queued. */
class Lane {
  #scheduled: Task[] = [];
  /** Those for which there was no time any more. */
  #late: Task[] = [];
  #isLate = false;
  /** How long writers have taken since all sockets were looked at, and when they last did. */
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

  /** Starts writers, as many as there is time for, and leaves the others to later turns. Returns how many. */
  #start(writers: readonly Task[]): number {
    const round = new Round();
    const began = performance.now();
    if (turnsEnded() !== this.#turn || began - this.#lastSpent > NO_WRITE_MS) this.#spent = 0;
    this.#turn = turnsEnded();
    const before = this.#spent;
    let i = 0;
    while (i < writers.length && this.#spent < MAX_WRITING_MS) {
      writers[i++]!.run(round);
      this.#lastSpent = performance.now();
      this.#spent = before + this.#lastSpent - began;
    }
    round.measure(i);
    if (i < writers.length) this.#late.push(...writers.slice(i));
    if (this.#late.length > 0 && !this.#isLate) this.#startLate();
    return i;
  }

  async #startLate(): Promise<void> {
    this.#isLate = true;
    let next: Promise<void> | null = null;
    let started = 0;
    while (this.#late.length > 0 || next) {
      await (next ?? nextTurn());
      const writers = this.#late;
      this.#late = [];
      // Where some will be left over, the wait begins now, so that it is over when these have written.
      next = started > 0 && writers.length > 2 * started ? nextTurn() : null;
      this.#spent = 0; // Whatever others have taken of this turn.
      started = this.#start(writers);
    }
    this.#isLate = false;
  }
}

/** Those who have little to write do not wait for those who have much. */
const shortLane = new Lane();
const longLane = new Lane();

/** Has a writer, for which so many bytes wait, write at the end of this turn. */
export function writeSoon(writer: Task, bytes: number): void {
  (bytes <= SHORT_BYTES ? shortLane : longLane).add(writer);
}

/**
 * How many microtasks in a row must have queued nothing before the program's handlers count as done. A loop
 * with `for await` that answers each event takes two or three for each, and some more if it waits for other
 * promises that are resolved already.
 */
const QUIET_MICROTASKS = 8;

/**
 * For how long handlers may go on, in milliseconds: those that take longer for what has come should not hold
 * each other's answers up.
 */
const MAX_HANDLERS_MS = 1;

/** Until when the handlers may take that begin now, by the clock of `Date.now()`. */
export function handlersEnd(): number {
  return Date.now() + MAX_HANDLERS_MS;
}

/**
 * Waits until the program's handlers have done with what has come in this turn, as far as can be told:
 * `queued()` changes with what they queue. Waits no longer than to `end`, or until `isEnough()`.
 */
export async function afterHandlers(
  end: number,
  queued: () => number,
  isEnough: () => boolean = () => false,
): Promise<void> {
  let seen = queued();
  for (let quiet = 0; quiet < QUIET_MICROTASKS; quiet++) {
    if (isEnough() || Date.now() > end) return;
    await null;
    if (queued() !== seen) quiet = 0;
    seen = queued();
  }
}

// Gathering

/** From which demand on events are gathered, and from which on fully: 1 is all the time there is. */
const MIN_DEMAND = 1;
const FULL_DEMAND = 1.5;

/** A demand counts as no greater, so that it is forgotten within 40 ms of silence. */
const MAX_DEMAND = 2;

/** Over which time the demand is measured, in milliseconds. */
const DEMAND_MS = 50;

/** How much of the time writing is to take where events are gathered fully. */
const WRITING_SHARE = 0.45;

/** The least time that events are gathered, in milliseconds: timers are no more precise. */
const MIN_GATHER_MS = 1;

/** From how many writes on a round tells how long one takes, and of how many rounds the quickest does. */
const MIN_MEASURED_WRITES = 32;
const MEASURED_ROUNDS = 8;

/**
 * How long a short write takes, in milliseconds: what it took where nothing else came between. At first, a
 * usual time.
 */
let writeMs = 0.006;
let quickest = Infinity;
let rounds = 0;

/** How much of the time it would take to write each event by itself, and when that was noted. */
let demand = 0;
let demandAt = 0;

/** Notes that so many short writes took so long, in milliseconds. */
export function noteWrites(writes: number, ms: number): void {
  quickest = Math.min(quickest, ms / writes);
  writeMs = Math.min(writeMs, quickest);
  if (++rounds < MEASURED_ROUNDS) return;
  writeMs = quickest;
  quickest = Infinity;
  rounds = 0;
}

/** Notes what has come would have to be written with so many short writes, if nothing was gathered. */
export function noteDemand(writes: number, now: number): void {
  const rest = demand * Math.exp((demandAt - now) / DEMAND_MS);
  demand = Math.min(MAX_DEMAND, rest + writes * writeMs / DEMAND_MS);
  demandAt = now;
}

/**
 * How long to gather events from now on, in milliseconds, if what is gathered then takes so many short
 * writes: at most `max`, and 0 while there is time to write each event by itself.
 */
export function gatherTime(writes: number, max: number): number {
  const excess = Math.min(1, (demand - MIN_DEMAND) / (FULL_DEMAND - MIN_DEMAND));
  const ms = Math.min(max, excess * writes * writeMs / WRITING_SHARE);
  return ms < MIN_GATHER_MS ? 0 : ms;
}
