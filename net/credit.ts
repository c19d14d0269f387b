/**
 * The credit of a peer that cannot stop receiving: how many more bytes of events it can take.
 *
 * @module
 */

/** The credit of one peer. */
export class Credit {
  readonly #window: number;
  #left: number;

  /** Creates the credit of a peer that has read everything. It can take `window` bytes. */
  constructor(window: number) {
    this.#window = window;
    this.#left = window;
  }

  /** Whether the peer can take an event. The last one may exceed the window. */
  get isLeft(): boolean {
    return this.#left > 0;
  }

  /** Takes `bytes` from the credit. */
  spend(bytes: number): void {
    this.#left -= bytes;
  }

  /**
   * Notes that the peer has read `bytes` bytes. Returns how many of them it had not read before.
   */
  grant(bytes: number): number {
    const before = this.#left;
    this.#left = Math.min(this.#window, before + bytes);
    return this.#left - before;
  }
}
