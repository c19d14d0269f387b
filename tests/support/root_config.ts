/**
 * Other settings for Deno than those of `deno.json`. They have to be in the same folder, as the
 * standard library is found from there.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** A file with settings, which is removed on disposal. */
export class RootConfig implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** Writes settings. */
  static async write(settings: object): Promise<RootConfig> {
    const { pathname } = new URL(`.deno-${crypto.randomUUID()}.json`, ROOT);
    await Deno.writeTextFile(pathname, JSON.stringify(settings));
    return new RootConfig(pathname);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path);
  }
}
