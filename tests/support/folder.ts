/** Temporary folders for tests. */

/** A new folder, which is removed with all that is in it on disposal. */
export class TempFolder implements Disposable {
  readonly path: string = Deno.makeTempDirSync();

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
