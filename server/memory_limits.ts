/**
 * The memory limits of one server: what it gives up when too many bytes are queued for its peers,
 * or too many unfinished lines are received.
 *
 * @module
 */

import { ReadBuffers } from "../net/byte_budget.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { Block, SendBudget } from "../net/piece.ts";

/** Share of a limit down to which room is made once it was exceeded. */
const MAX_LEFT = 0.75;

/** The memory limits of the connections of one server. */
export class MemoryLimits {
  /** The bytes queued for all connections. */
  readonly queued: SendBudget;
  /** The read buffers of all connections, which may take a quarter as much. */
  readonly buffers: ReadBuffers;
  readonly #connections: ReadonlySet<LineConnection>;
  #mayCompact = true;

  /** Limits the bytes queued for `connections` to `maxBytes`. */
  constructor(maxBytes: number, connections: ReadonlySet<LineConnection>) {
    this.queued = new SendBudget(maxBytes, () => this.#closeSlow());
    this.buffers = new ReadBuffers(maxBytes / 4, () => this.#giveUpLines());
    this.#connections = connections;
  }

  /** Notes that time has passed, after which another attempt may gain something. */
  tick(): void {
    this.#mayCompact = true;
  }

  /**
   * Makes room when the queued bytes exceed the limit. First releases blocks that are mostly
   * unused. If that gains little, it is not repeated before the next tick. Then closes the
   * connections with the largest send queues.
   */
  #closeSlow(): void {
    const { queued } = this;
    let enough = MAX_LEFT * queued.maxBytes;
    if (this.#mayCompact) {
      compact(this.#connections);
      this.#mayCompact = queued.bytes <= enough;
    }
    if (queued.bytes <= queued.maxBytes) return;
    const order = [...this.#connections].sort((a, b) => b.pendingBytes - a.pendingBytes);
    for (const connection of order) {
      const before = queued.bytes;
      const { pendingBytes } = connection;
      if (before <= enough || pendingBytes === 0) break;
      connection.closeSlow(
        `${pendingBytes} of ${before} bytes were waiting for it, more than for others`,
      );
      if (queued.bytes === before) break; // All of it is shared.
      // A line that is being written cannot be dropped. No other client is closed in its place.
      enough += connection.pendingBytes;
    }
  }

  /**
   * Gives up unfinished lines when they exceed their limit. The oldest lines go first, because a
   * peer in the middle of sending a line will soon finish. Short lines are spared, since closing
   * them would gain nothing. The most recent line is spared as well, because a single line may be
   * as long as the limit.
   */
  #giveUpLines(): void {
    const { bytes, maxBytes } = this.buffers;
    const all = [...this.#connections].filter(({ unfinishedBytes }) => unfinishedBytes > 0);
    const unfinished = all.reduce((sum, { unfinishedBytes }) => sum + unfinishedBytes, 0);
    const isLong = ({ unfinishedBytes }: LineConnection) =>
      unfinishedBytes >= unfinished / all.length / 2;
    // The bytes of closing connections stay until those have ended.
    const order = (one: LineConnection, other: LineConnection) =>
      Number(one.open) - Number(other.open) || one.lineBegan - other.lineBegan;
    let excess = bytes - MAX_LEFT * maxBytes;
    for (const connection of all.filter(isLong).sort(order).slice(0, -1)) {
      if (excess <= 0) break;
      excess -= connection.bufferBytes;
      const detail =
        `the server holds ${unfinished} bytes of unfinished lines, too many; try again`;
      if (connection.open) connection.close("overloaded", detail);
      else connection.abort("overloaded", detail);
    }
  }
}

/** The queued parts of one block. */
interface Parts {
  /** The copy of each part by its start and end, or `null` if there is none yet. */
  readonly copies: Map<string, Block | null>;
  /** Total size of the parts, in bytes. Overlaps count several times. */
  size: number;
}

/**
 * Replaces each block of which less than half is queued by copies of its queued parts, so that the
 * block can be freed.
 */
export function compact(holders: Iterable<Pick<LineConnection, "replaceEach">>): void {
  const queued = new Map<Block, Parts>();
  for (const holder of holders) {
    holder.replaceEach((piece) => {
      const { block, start, end } = piece;
      let parts = queued.get(block);
      if (!parts) queued.set(block, parts = { copies: new Map(), size: 0 });
      const key = `${start} ${end}`;
      if (!parts.copies.has(key)) parts.size += end - start;
      parts.copies.set(key, null);
      return piece;
    });
  }
  for (const holder of holders) {
    holder.replaceEach((piece) => {
      const { block, start, end } = piece;
      const { copies, size } = queued.get(block)!;
      if (2 * size > block.bytes.length) return piece;
      const key = `${start} ${end}`;
      let copy = copies.get(key);
      if (!copy) {
        copies.set(key, copy = new Block(block.bytes.slice(start, end), block.encoding));
      }
      return piece.on(copy);
    });
  }
}
