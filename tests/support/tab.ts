/**
 * A page in Chromium, for tests of what pages do.
 *
 * @module
 */

import { DevTools } from "../../bench/clients/devtools.mjs";
import { TempFolder } from "./folder.ts";
import { canRun, Program } from "./process.ts";
import { until } from "./waiting.ts";

/** The name of Chromium on this machine, or `undefined` if it is missing. */
export const CHROMIUM: string | undefined = ["chromium", "chromium-browser", "google-chrome"]
  .find((name) => canRun(name, ["--version"]));

/** Chromium with one page, which can report something: `fetch("/log", { method: "POST", body })`. */
export class Tab implements AsyncDisposable {
  /** What the page has reported: an array each time. */
  readonly log: unknown[][] = [];
  /** The origin of the page. */
  readonly origin: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #folder = new TempFolder();
  #program: Program | null = null;
  /** The tools that control the page, once it is open. */
  tools!: DevTools;

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
  async open(): Promise<void> {
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"];
    const features = "--disable-features=LocalNetworkAccessChecks";
    const profile = `--user-data-dir=${this.#folder.path}`;
    this.#program = new Program(CHROMIUM!, [...flags, features, profile, "about:blank"]);
    const portFile = `${this.#folder.path}/DevToolsActivePort`;
    let lines: string[] = [];
    await until(() => {
      try {
        lines = Deno.readTextFileSync(portFile).split("\n");
      } catch {
        // Chromium has not written it yet.
      }
      return lines.length >= 2;
    }, { what: "Chromium listens", everyMs: 20 });
    this.tools = await DevTools.openPage(`ws://127.0.0.1:${lines[0]}${lines[1]}`);
    await this.tools.send("Page.enable");
    await this.tools.send("Page.navigate", { url: this.origin });
  }

  /** Waits until the page has reported something that begins with `word`, and takes all up to it. */
  async reported(word: string): Promise<unknown[]> {
    const at = () => this.log.findIndex(([first]) => first === word);
    await until(() => at() >= 0, { what: `the page reports ${word}`, everyMs: 10 });
    return this.log.splice(0, at() + 1).at(-1)!;
  }

  /** The value of an expression in the page. */
  async value(expression: string): Promise<unknown> {
    const { result } = await this.tools.send("Runtime.evaluate", { expression });
    return result.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    await this.#server.shutdown();
    this.#folder[Symbol.dispose]();
  }
}
