/** A socket made of memory, with which a test plays the peer and the operating system. */

import type { Duplex } from "../../net/connection.ts";

const decoder = new TextDecoder();

type ReadResult = Uint8Array | null | Error;

export class FakeDuplex implements Duplex {
  /** All that has been written. */
  written = "";
  /** How many writes there were, and the size of each. */
  readonly writes: number[] = [];
  isClosed = false;
  isWriteClosed = false;
  /** How many bytes one write takes; `0` lets writes wait until {@link take} is called. */
  writeSize = Infinity;

  readonly #incoming: ReadResult[] = [];
  #reader: PromiseWithResolvers<void> | null = null;
  #writer: PromiseWithResolvers<void> | null = null;
  #writeError: Error | null = null;
  #onFailedWrite: () => void = () => {};
  #isWriting = false;
  #once = 0;

  /** Lets the peer send text, end the stream (`null`), or fail. */
  receive(what: string | Uint8Array | null | Error): void {
    this.#incoming.push(typeof what === "string" ? new TextEncoder().encode(what) : what);
    this.#reader?.resolve();
  }

  /** Lets the operating system take `bytes` per write from now on. */
  take(bytes = Infinity): void {
    this.writeSize = bytes;
    this.#writer?.resolve();
  }

  /** Lets the operating system take `bytes` once, and then nothing. */
  takeOnce(bytes: number): void {
    this.#once = bytes;
    this.#writer?.resolve();
  }

  /** Lets this write, and all that follow, fail, and tells of each; `null` lets them succeed. */
  failWrites(error: Error | null, onFailure: () => void = () => {}): void {
    this.#writeError = error;
    this.#onFailedWrite = onFailure;
    this.#writer?.resolve();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#incoming.length === 0 && !this.isClosed) {
      this.#reader = Promise.withResolvers();
      await this.#reader.promise;
    }
    if (this.isClosed) throw new Deno.errors.BadResource("closed");
    const next = this.#incoming.shift()!;
    if (next === null || next instanceof Error) {
      this.#incoming.unshift(next);
      if (next instanceof Error) throw next;
      return null;
    }
    const length = Math.min(next.length, buffer.length);
    buffer.set(next.subarray(0, length));
    if (length < next.length) this.#incoming.unshift(next.subarray(length));
    return length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#isWriting) throw new Error("two writes at once");
    this.#isWriting = true;
    try {
      while (this.writeSize + this.#once === 0 && !this.isClosed && !this.#writeError) {
        this.#writer = Promise.withResolvers();
        await this.#writer.promise;
      }
      if (this.isClosed) throw new Deno.errors.BadResource("closed");
      if (this.#writeError) {
        this.#onFailedWrite();
        throw this.#writeError;
      }
      const length = Math.min(bytes.length, this.writeSize || this.#once);
      this.#once = 0;
      this.written += decoder.decode(bytes.subarray(0, length));
      this.writes.push(length);
      await Promise.resolve();
      return length;
    } finally {
      this.#isWriting = false;
    }
  }

  closeWrite(): Promise<void> {
    this.isWriteClosed = true;
    return Promise.resolve();
  }

  close(): void {
    if (this.isClosed) throw new Deno.errors.BadResource("closed twice");
    this.isClosed = true;
    this.#reader?.resolve();
    this.#writer?.resolve();
  }
}
