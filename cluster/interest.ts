/**
 * The interest of this relay: each pattern that its clients hear once, however many they are, and the
 * number of clients for each pattern of a queue.
 *
 * @module
 */

import { encodeInterest } from "../protocol/cluster.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { TextMap } from "../protocol/text_map.ts";

/** Most patterns in one line. */
const MAX_PATTERNS = 500;

/** How many clients hear a pattern, now and in the last report to the other relays. */
interface Count {
  readonly pattern: string;
  readonly queue: string;
  now: number;
  sent: number;
}

/** The interest of one relay. */
export class Interest {
  /** The number of the last reported change. */
  version = 0;
  /** The counts by queue and pattern. */
  readonly #counts = new TextMap<TextMap<Count>>();
  readonly #changed = new Set<Count>();
  #isRetired = false;

  /** Notes that more clients, or fewer, hear a pattern, or share it as members of a queue. */
  change(pattern: string, queue: string, by: number): void {
    let patterns = this.#counts.get(queue);
    if (!patterns) this.#counts.set(queue, patterns = new TextMap());
    let count = patterns.get(pattern);
    if (!count) patterns.set(pattern, count = { pattern, queue, now: 0, sent: 0 });
    count.now += by;
    if (isSent(count)) this.#changed.delete(count);
    else this.#changed.add(count);
    if (count.now === 0 && count.sent === 0) this.#forget(count);
  }

  #forget({ pattern, queue }: Count): void {
    const patterns = this.#counts.get(queue)!;
    patterns.delete(pattern);
    if (patterns.size === 0) this.#counts.delete(queue);
  }

  /** Reports no members of queues any more. */
  retire(): void {
    this.#isRetired = true;
    for (const [queue, patterns] of this.#counts) {
      if (queue === NO_QUEUE) continue;
      for (const count of patterns.values()) if (count.sent > 0) this.#changed.add(count);
    }
  }

  /** Whether the other relays do not know of everything yet. */
  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** Returns the lines that report all changes since the last call. */
  takeChanges(): Uint8Array[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    const lines = this.#linesOf(changed, false);
    for (const count of changed) {
      count.sent = count.now;
      if (count.now === 0) this.#forget(count);
    }
    return lines;
  }

  /** Returns the lines that report everything to a relay that knows nothing yet. */
  all(): Uint8Array[] {
    const counts = [...this.#counts].flatMap(([, patterns]) => [...patterns.values()]);
    return this.#linesOf(counts.filter(({ sent }) => sent > 0), true);
  }

  #linesOf(counts: readonly Count[], isWhole: boolean): Uint8Array[] {
    const lines: Uint8Array[] = [];
    for (let i = 0; i < counts.length || isWhole && i === 0; i += MAX_PATTERNS) {
      const some = counts.slice(i, i + MAX_PATTERNS);
      const plain = some.filter(({ queue }) => queue === NO_QUEUE);
      lines.push(encodeInterest({
        version: isWhole ? this.version : ++this.version,
        add: plain.filter(({ now }) => now > 0).map(({ pattern }) => pattern),
        drop: plain.filter(({ now }) => now === 0).map(({ pattern }) => pattern),
        queues: some.filter(({ queue }) => queue !== NO_QUEUE).map(({ queue, pattern, now }) => {
          return [queue, pattern, this.#isRetired ? 0 : now] as const;
        }),
        isWhole: isWhole && i + MAX_PATTERNS >= counts.length,
      }));
    }
    return lines;
  }
}

/** Whether the other relays know all that they need to know about a pattern. */
function isSent({ queue, now, sent }: Count): boolean {
  return queue === NO_QUEUE ? now > 0 === sent > 0 : now === sent;
}
