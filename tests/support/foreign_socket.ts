/**
 * WebSockets of other people's libraries and browsers, behind one interface. A socket in a program
 * gets its commands as lines of JSON, and reports what happens in the same way.
 *
 * @module
 */

import type { Page } from "./browser.ts";
import { Program } from "./process.ts";
import { PATIENCE, pause } from "./waiting.ts";

/** How a socket was closed, in the words of its library. */
interface Closing {
  readonly code: number;
  readonly reason: string;
  readonly isClean: boolean;
}

/** What happens to a socket. */
type Happening =
  | { readonly type: "open" }
  | { readonly type: "message"; readonly text: string }
  | { readonly type: "ping"; readonly text: string }
  | { readonly type: "pong"; readonly text: string }
  | { readonly type: "close" } & Closing;

/** A WebSocket. Disposing of it ends the program or the browser as well. */
export abstract class ForeignSocket implements AsyncDisposable {
  isOpen = false;
  messages: string[] = [];
  pings: string[] = [];
  pongs: string[] = [];
  closed: Closing | null = null;

  /** Connects, and waits until the socket is open. What happened to the last one is forgotten. */
  async open(url: string): Promise<void> {
    Object.assign(this, { isOpen: false, messages: [], pings: [], pongs: [], closed: null });
    await this.start(url);
    await this.sees(({ isOpen, closed }) => isOpen || closed !== null);
  }

  /** Waits until `condition` holds. */
  async sees(condition: (socket: this) => boolean): Promise<void> {
    for (const deadline = Date.now() + PATIENCE;;) {
      for (const happening of await this.news()) this.#take(happening);
      if (condition(this)) return;
      if (Date.now() > deadline) {
        const last = this.messages.slice(-3).map((text) => text.slice(0, 200));
        throw new Error(
          `Waited ${PATIENCE} ms until ${condition} after ${this.messages.length} messages, the ` +
            `last ${last.join(" ")}, closed ${JSON.stringify(this.closed)} ${this.complaint}`,
        );
      }
      await pause(5);
    }
  }

  #take(happening: Happening): void {
    switch (happening.type) {
      case "open":
        this.isOpen = true;
        break;
      case "message":
        this.messages.push(happening.text);
        break;
      case "ping":
        this.pings.push(happening.text);
        break;
      case "pong":
        this.pongs.push(happening.text);
        break;
      case "close": {
        const { code, reason, isClean } = happening;
        this.closed = { code, reason, isClean };
      }
    }
  }

  /** Sends a text message. */
  abstract send(text: string): Promise<void>;

  /** Sends a Ping. */
  abstract ping(text: string): Promise<void>;

  /** Closes with a code and a reason. */
  abstract close(code: number, reason: string): Promise<void>;

  /** Begins to connect. */
  protected abstract start(url: string): Promise<void>;

  /** Returns what has happened since the last call. */
  protected abstract news(): Promise<Happening[]>;

  /** Further words for an error. */
  protected abstract readonly complaint: string;

  abstract [Symbol.asyncDispose](): Promise<void>;
}

/** A socket in a program of its own. */
export class ProgramSocket extends ForeignSocket {
  readonly #program: Program;
  #taken = 0;

  /** Starts a program that trusts the certificate in the file `ca`, if there is one. */
  constructor(command: string, args: string[], ca?: string) {
    super();
    const trust: Record<string, string> = ca ? { NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: ca } : {};
    this.#program = new Program(command, args, { env: trust });
  }

  protected override async start(url: string): Promise<void> {
    await this.#do("open", { url });
  }

  override async send(text: string): Promise<void> {
    await this.#do("send", { text });
  }

  override async ping(text: string): Promise<void> {
    await this.#do("ping", { text });
  }

  override async close(code: number, reason: string): Promise<void> {
    await this.#do("close", { code, reason });
  }

  async #do(action: string, parameters: Record<string, unknown>): Promise<void> {
    await this.#program.type(`${JSON.stringify({ do: action, ...parameters })}\n`);
  }

  protected override news(): Promise<Happening[]> {
    const { stdout } = this.#program;
    const end = stdout.lastIndexOf("\n") + 1;
    const lines = stdout.slice(this.#taken, end).split("\n").slice(0, -1);
    this.#taken = Math.max(this.#taken, end);
    return Promise.resolve(lines.map((line) => JSON.parse(line)));
  }

  protected override get complaint(): string {
    return this.#program.stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** A socket in a page of a browser. */
export class PageSocket extends ForeignSocket {
  protected override readonly complaint = "";
  readonly #page: Page;

  /** Takes over a page. */
  constructor(page: Page) {
    super();
    this.#page = page;
  }

  protected override async start(url: string): Promise<void> {
    const text = JSON.stringify(url);
    await this.#page.value(`{
      const news = globalThis.news = [];
      const socket = globalThis.socket = new WebSocket(${text});
      socket.onopen = () => news.push({ type: "open" });
      socket.onmessage = ({ data }) => news.push({ type: "message", text: data });
      socket.onclose = ({ code, reason, wasClean }) =>
        news.push({ type: "close", code, reason, isClean: wasClean });
    }`);
  }

  override async send(text: string): Promise<void> {
    await this.#page.value(`socket.send(${JSON.stringify(text)})`);
  }

  override ping(_: string): Promise<void> {
    throw new Error("A page cannot send a Ping");
  }

  override async close(code: number, reason: string): Promise<void> {
    await this.#page.value(`socket.close(${code}, ${JSON.stringify(reason)})`);
  }

  protected override async news(): Promise<Happening[]> {
    return JSON.parse(await this.#page.value("JSON.stringify(news.splice(0))") as string);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page[Symbol.asyncDispose]();
  }
}
