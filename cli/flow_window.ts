/**
 * Owns how far senders may run ahead of those who receive. Must not know what is sent.
 *
 * @module
 */

/** Lets senders run ahead of the slowest receiver by so many events, and then waits for it. */
export class Window {
  readonly #size: number;
  readonly #received: number[];
  #sent = 0;
  /** What the slowest receiver had received when it was last looked at. */
  #slowest = 0;
  /** What receivers must have received before more is sent, while the senders wait. */
  #wanted = Infinity;
  /** How many receivers have not. */
  #behind = 0;
  #opening = Promise.withResolvers<void>();

  /** Makes one of `size` events, from 1, for so many receivers. */
  constructor(size: number, receivers: number) {
    this.#size = size;
    this.#received = new Array(receivers).fill(0);
  }

  /** An event has been sent to all. Resolves when there is room for the next; `null` while there is. */
  send(): Promise<void> | null {
    this.#sent++;
    if (this.#behind > 0) return this.#opening.promise;
    if (this.#sent - this.#slowest < this.#size) return null;
    this.#slowest = Math.min(...this.#received);
    if (this.#sent - this.#slowest < this.#size) return null;
    // Half of it, so that not every single event makes the senders wait.
    this.#wanted = this.#sent - Math.floor(this.#size / 2);
    this.#behind = this.#received.filter((count) => count < this.#wanted).length;
    this.#opening = Promise.withResolvers();
    return this.#opening.promise;
  }

  /** An event has come to a receiver. */
  receive(receiver: number): void {
    if (++this.#received[receiver]! === this.#wanted) this.#catchUp();
  }

  /** A receiver will get no more; nobody waits for it. */
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
