/**
 * A page in Chromium that reports to its test.
 *
 * @module
 */

import { ChromiumPage } from "./chromium.ts";
import { until } from "./waiting.ts";

/** HTML that gives a page `report(...words)`. The reports arrive one after the other, in order. */
export const REPORTER = `<script>
  let reported = Promise.resolve();
  const report = (...words) => {
    const request = { method: "POST", body: JSON.stringify(words) };
    return reported = reported.then(() => fetch("/log", request));
  };
</script>`;

/** A page that reports what happens to it, by the function of {@linkcode REPORTER}. */
export class ReportingPage implements AsyncDisposable {
  /** The reports of the page: an array each time. */
  readonly log: unknown[][] = [];
  /** The origin of the page. */
  readonly origin: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #page: ChromiumPage | null = null;

  /** Serves the page. */
  constructor(html: string) {
    const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
    this.#server = Deno.serve(options, async (request) => {
      if (request.method === "POST") this.log.push(await request.json());
      return new Response(html, { headers: { "Content-Type": "text/html" } });
    });
    this.origin = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Opens the page. */
  async open(): Promise<ChromiumPage> {
    return this.#page = await ChromiumPage.open(this.origin);
  }

  /** Waits until the page has reported something that begins with `word`, and takes all up to it. */
  async reported(word: string): Promise<unknown[]> {
    const at = () => this.log.findIndex(([first]) => first === word);
    const what = () => `the page reports ${word}, after ${JSON.stringify(this.log)}`;
    await until(() => at() >= 0, { what, everyMs: 10 });
    return this.log.splice(0, at() + 1).at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page?.[Symbol.asyncDispose]();
    await this.#server.shutdown();
  }
}
