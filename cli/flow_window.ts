/**
 * Limits how far senders may run ahead of receivers.
 *
 * @module
 */

/**
 * Lets senders run ahead of the slowest receiver by a number of events, and then makes them wait.
 */
export class Window {
  readonly #size: number;
  readonly #received: number[];
  #sent = 0;
  /** The count of the slowest receiver at the last check. */
  #slowest = 0;
  /** The count that every receiver must reach before the senders go on. */
  #wanted = Infinity;
  /** The number of receivers that have not reached it. */
  #behind = 0;
  #opening = Promise.withResolvers<void>();

  /** Creates a window of `size` events, from 1, for `receivers` receivers. */
  constructor(size: number, receivers: number) {
    this.#size = size;
    this.#received = new Array(receivers).fill(0);
  }

  /**
   * Notes that an event was sent to all receivers. Returns a promise that resolves when there is
   * room for the next event, or `null` if there is room now.
   */
  send(): Promise<void> | null {
    this.#sent++;
    if (this.#behind > 0) return this.#opening.promise;
    if (this.#sent - this.#slowest < this.#size) return null;
    this.#slowest = Math.min(...this.#received);
    if (this.#sent - this.#slowest < this.#size) return null;
    // Half of the window, so that the senders do not wait after every single event.
    this.#wanted = this.#sent - Math.floor(this.#size / 2);
    this.#behind = this.#received.filter((count) => count < this.#wanted).length;
    this.#opening = Promise.withResolvers();
    return this.#opening.promise;
  }

  /** Notes that an event has arrived at a receiver. */
  receive(receiver: number): void {
    if (++this.#received[receiver]! === this.#wanted) this.#catchUp();
  }

  /** Notes that a receiver will get no more events. The senders no longer wait for it. */
  leave(receiver: number): void {
    const isBehind = this.#received[receiver]! < this.#wanted;
    this.#received[receiver] = Infinity;
    if (isBehind && this.#behind > 0) this.#catchUp();
  }

  #catchUp(): void {
    if (--this.#behind > 0) return;
    this.#wanted = Infinity;
    this.#opening.resolve();
  }
}
