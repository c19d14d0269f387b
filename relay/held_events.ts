/**
 * Events that no client receives before the disk has them.
 *
 * @module
 */

import type { LineConnection } from "../net/line_connection.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** An event that waits, and the offset up to which the log has to be on the disk. */
interface HeldEvent {
  readonly offset: number;
  readonly pass: () => void;
}

/** The events of a block that wait, in their order. */
interface HeldBlock {
  readonly source: Client;
  readonly events: HeldEvent[];
  /** Resolves when all of them have been passed on. */
  readonly passed: PromiseWithResolvers<void>;
}

/** The waiting events of all clients, in the order of their offsets. */
export class HeldEvents {
  readonly #blocks: HeldBlock[] = [];

  /** Begins with the events of a block. */
  begin(source: Client): void {
    this.#blocks.push({ source, events: [], passed: Promise.withResolvers() });
  }

  /** Adds an event to the block that was begun last. */
  add(offset: number, pass: () => void): void {
    this.#blocks.at(-1)!.events.push({ offset, pass });
  }

  /** Returns a promise that resolves when the last block has been passed on, or `null` if it has. */
  get passed(): Promise<void> | null {
    return this.#blocks.at(-1)?.passed.promise ?? null;
  }

  /** Whether the last block is one of this client, and has not been passed on. */
  hasLastOf(source: Client): boolean {
    return this.#blocks.at(-1)?.source === source;
  }

  /**
   * Passes on the events up to an offset.
   *
   * @param around Called for the events of each block, with a function that passes them on.
   */
  release(offset: number, around: (source: Client, pass: () => void) => void): void {
    for (;;) {
      const block = this.#blocks[0];
      if (!block) return;
      const { source, events, passed } = block;
      const waiting = events.findIndex((event) => event.offset > offset);
      const due = events.splice(0, waiting < 0 ? Infinity : waiting);
      if (due.length > 0) around(source, () => due.forEach(({ pass }) => pass()));
      if (waiting >= 0) return;
      this.#blocks.shift();
      passed.resolve();
    }
  }
}
