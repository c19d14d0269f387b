/**
 * Owns the turns of the event loop: when the work of one must stop, so that all other sockets are
 * looked at. Must not know connections or lines.
 *
 * Deno resolves a read or a write that is ready at once without a look at any other socket, and
 * while it has anything to do, it looks at them only every 61st time (tokio's `event_interval`). So
 * a loop that reads from a busy peer has to wait now and then for something that is never ready at
 * once: then Deno has nothing to do, and asks the operating system which sockets are ready.
 *
 * A timer is such a thing, and waiting for one that is due takes no time. A timer of 0 ms is due at
 * the second whole millisecond after it was set. So while the work goes on, turn after turn, one is
 * set in each turn for its end, and where turns of 1 ms are wanted, for the end of the next.
 *
 * @module
 */

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
