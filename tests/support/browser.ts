/**
 * Pages of browsers without a window. Chromium is spoken to in the protocol of its DevTools, and
 * Firefox in WebDriver BiDi.
 *
 * @module
 */

import { TempFolder } from "./folder.ts";
import { freePort } from "./free_port.ts";
import { CHROMIUM_PROGRAM, ChromiumPage } from "./chromium.ts";
import { type Need, program } from "./needs.ts";
import { Program } from "./process.ts";
import { eventually, soon } from "./waiting.ts";

/** A page. Disposing of it ends its browser. */
export interface Page extends AsyncDisposable {
  /** Opens an address, and waits until it has loaded. */
  goTo(url: string): Promise<void>;
  /** Runs a script in the page, and resolves to the value of its last statement. */
  value(script: string): Promise<unknown>;
}

/** A kind of browser. */
export interface Browser {
  readonly name: string;
  readonly needs: readonly Need[];
  /** Starts one, which accepts every certificate. */
  open(): Promise<Page>;
}

export const CHROMIUM: Browser = {
  name: "Chromium",
  needs: [CHROMIUM_PROGRAM],
  open: () => ChromiumPage.open(),
};

export const FIREFOX: Browser = {
  name: "Firefox",
  needs: [program("firefox-esr")],
  open: () => FirefoxPage.open(),
};

class FirefoxPage implements Page {
  readonly #folder: TempFolder;
  readonly #program: Program;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  #context = "";

  private constructor(folder: TempFolder, program: Program, socket: WebSocket) {
    this.#folder = folder;
    this.#program = program;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
  }

  static async open(): Promise<FirefoxPage> {
    const folder = new TempFolder();
    const port = freePort();
    const args = ["--headless", "--remote-debugging-port", `${port}`, "--profile", folder.path];
    const program = new Program("firefox-esr", args);
    try {
      const socket = await eventually(() => connect(`ws://127.0.0.1:${port}/session`));
      const page = new FirefoxPage(folder, program, socket);
      const wishes = { acceptInsecureCerts: true };
      await page.#do("session.new", { capabilities: { alwaysMatch: wishes } });
      const { context } = await page.#do("browsingContext.create", { type: "tab" });
      page.#context = context as string;
      return page;
    } catch (error) {
      await program[Symbol.asyncDispose]();
      throw error;
    }
  }

  #take({ id, type, result, message }: Record<string, unknown>): void {
    const waiting = this.#waiting.get(id as number);
    if (type === "success") waiting?.resolve(result as Record<string, unknown>);
    else waiting?.reject(new Error(`Firefox refuses it: ${message}`));
  }

  async #do(method: string, params: unknown): Promise<Record<string, unknown>> {
    const id = this.#waiting.size;
    const waiting = Promise.withResolvers<Record<string, unknown>>();
    this.#waiting.set(id, waiting);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return await soon(waiting.promise, `${method} in Firefox`);
  }

  async goTo(url: string): Promise<void> {
    await this.#do("browsingContext.navigate", { context: this.#context, url, wait: "complete" });
  }

  async value(script: string): Promise<unknown> {
    const target = { context: this.#context };
    const parameters = { expression: script, target, awaitPromise: true };
    const { result, exceptionDetails } = await this.#do("script.evaluate", parameters);
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: unknown }).value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#do("browser.close", {});
      await this.#program.end();
    } finally {
      await this.#program[Symbol.asyncDispose]();
      this.#socket.close();
      this.#folder[Symbol.dispose]();
    }
  }
}

async function connect(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.onopen = () => resolve();
  socket.onerror = () => reject(new Error(`Cannot connect to ${url}`));
  await soon(promise, `a connection to ${url}`);
  return socket;
}
