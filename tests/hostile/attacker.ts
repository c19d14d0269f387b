/**
 * The handle of an attack that runs on a thread of its own.
 *
 * @module
 */

import type { Job, Result } from "./attacker_worker.ts";

export type { Job, Result };

/** An attack under way. Disposing of it closes its sockets. */
export class Attacker implements Disposable {
  /** What came of it by the time that all sockets were connected, and closed if they were to be. */
  readonly done: Promise<Result>;
  readonly #worker: Worker;

  /** Begins. */
  constructor(job: Job) {
    this.#worker = new Worker(new URL("./attacker_worker.ts", import.meta.url), { type: "module" });
    this.done = this.#next();
    this.#worker.postMessage(job);
  }

  /** Sends nothing more; what came of it by now. */
  stop(): Promise<Result> {
    const result = this.#next();
    this.#worker.postMessage("stop");
    return result;
  }

  #next(): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#worker.onmessage = ({ data }) => resolve(data);
    this.#worker.onerror = ({ message }) => reject(new Error(message));
    return promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
