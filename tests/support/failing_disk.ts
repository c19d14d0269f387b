/** A disk of this process that fails, or hangs, as a test tells it to. */

/** Lets no file be synced while it {@link fails}, and lets each sync wait for {@link hold}. */
export class FailingDisk implements Disposable {
  readonly #syncData = Deno.FsFile.prototype.syncData;
  readonly #sync = Deno.FsFile.prototype.sync;
  fails = false;
  #held: PromiseWithResolvers<void> | null = null;

  constructor() {
    const run = async (sync: () => Promise<void>) => {
      await this.#held?.promise;
      if (this.fails) throw new Error("no disk");
      await sync();
    };
    const [syncData, sync] = [this.#syncData, this.#sync];
    Deno.FsFile.prototype.syncData = function () {
      return run(() => syncData.call(this));
    };
    Deno.FsFile.prototype.sync = function () {
      return run(() => sync.call(this));
    };
  }

  /** Lets all syncs wait, until {@link release} or the end. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  [Symbol.dispose](): void {
    this.fails = false;
    this.release();
    Deno.FsFile.prototype.syncData = this.#syncData;
    Deno.FsFile.prototype.sync = this.#sync;
  }
}
