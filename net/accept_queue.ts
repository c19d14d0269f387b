/**
 * The queue between the code that makes connections and the code that accepts them.
 *
 * @module
 */

/** Connections, and errors instead of connections, that wait to be accepted. */
export class AcceptQueue<C extends { close(): void }> {
  /** Whether {@link close} has not been called. */
  isOpen = true;
  readonly #outcomes: ({ readonly conn: C } | { readonly error: unknown })[] = [];
  #news = Promise.withResolvers<void>();

  /** Adds a connection, or closes it if the queue is closed. */
  add(conn: C): void {
    if (!this.isOpen) return conn.close();
    this.#outcomes.push({ conn });
    this.wake();
  }

  /** Adds an error, with which one call of {@link next} rejects. */
  fail(error: unknown): void {
    this.#outcomes.push({ error });
    this.wake();
  }

  /**
   * Resolves to the oldest connection.
   *
   * @param refill Called while there is none, at first and after each {@link wake}.
   * @throws {Deno.errors.BadResource} If the queue is closed.
   */
  async next(refill: () => void): Promise<C> {
    for (;;) {
      if (!this.isOpen) throw new Deno.errors.BadResource("The listener is closed");
      const outcome = this.#outcomes.shift();
      if (outcome && "error" in outcome) throw outcome.error;
      if (outcome) return outcome.conn;
      refill();
      await this.#news.promise;
    }
  }

  /** Lets the pending calls of {@link next} check again. */
  wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Closes the queue and the connections in it. */
  close(): void {
    this.isOpen = false;
    for (const outcome of this.#outcomes) if ("conn" in outcome) outcome.conn.close();
    this.wake();
  }
}
