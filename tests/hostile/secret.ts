/**
 * The token of the relays that require one, and its file.
 *
 * @module
 */

/** The right token. */
export const TOKEN = "correct horse battery staple";

/** The first line of a client with `token`. */
export function hello(token: unknown): string {
  return `${JSON.stringify({ control: "hello", version: 1, token })}\n`;
}

/** A file with the token in it. Disposing of it removes it. */
export class TokenFile implements Disposable {
  readonly path: string = Deno.makeTempFileSync();

  constructor() {
    Deno.writeTextFileSync(this.path, `${TOKEN}\n`);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}
