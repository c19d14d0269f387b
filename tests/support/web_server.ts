/**
 * A WebSocket server whose messages a test writes itself, made of Deno's own WebSocket, and a page
 * for clients that do not run in a browser.
 *
 * @module
 */

import { pause, soon, until } from "./waiting.ts";

/** One client of a {@link WebServer}. */
export class WebSession {
  /** The messages of the client that have not been taken yet. */
  readonly messages: string[] = [];
  /** How the client has closed the WebSocket. */
  readonly closed: Promise<CloseEvent>;

  constructor(readonly socket: WebSocket) {
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.messages.push(data));
    this.closed = new Promise((resolve) => socket.addEventListener("close", resolve));
  }

  /** Takes the next message that is not empty. */
  async message(): Promise<string> {
    for (;;) {
      await until(() => this.messages.length > 0, { what: "a message" });
      const message = this.messages.shift()!;
      if (message !== "") return message;
    }
  }

  /** Takes the next `count` lines that are not empty. */
  async lines(count: number): Promise<Record<string, unknown>[]> {
    const lines: Record<string, unknown>[] = [];
    while (lines.length < count) {
      const message = await this.message();
      lines.push(...message.split("\n").filter((line) => line).map((line) => JSON.parse(line)));
    }
    return lines;
  }

  /** Sends a line as a message. */
  send(line: object): void {
    this.socket.send(JSON.stringify(line));
  }
}

/** A server whose clients a test takes one by one. */
export class WebServer implements AsyncDisposable {
  /** What each `hello` is answered with, from now on; nothing if it is `null`. */
  welcome: object | null;
  /** The URL of the server. */
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #sessions: WebSession[] = [];
  #taken = 0;

  /** Listens on 127.0.0.1. */
  constructor(welcome: object | null = {}, port = 0) {
    this.welcome = welcome;
    const options = { hostname: "127.0.0.1", port, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
      const session = new WebSession(socket);
      socket.addEventListener("message", () => {
        this.#sessions.push(session);
        const id = `c${this.#sessions.length}`;
        if (this.welcome) session.send({ control: "welcome", version: 1, id, ...this.welcome });
      }, { once: true });
      return response;
    });
    this.url = `ws://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** How many clients have said hello. */
  get accepted(): number {
    return this.#sessions.length;
  }

  /** The next client that has said hello. */
  async session(): Promise<WebSession> {
    await until(() => this.#taken < this.#sessions.length, { what: "a client" });
    return this.#sessions[this.#taken++]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#sessions) socket.close();
    await soon(Promise.all(this.#sessions.map(({ closed }) => closed)), "the ends of all clients");
    await this.#server.shutdown();
    await pause(0); // Deno tells of the end of a WebSocket before it lets go of it.
  }
}

/** The document of a page, as far as a client looks at it. It is the global one until disposed. */
export class FakePage extends EventTarget implements Disposable {
  visibilityState = "visible";

  constructor() {
    super();
    Object.assign(globalThis, { document: this });
  }

  /** Hides or shows the page. */
  show(isVisible: boolean): void {
    this.visibilityState = isVisible ? "visible" : "hidden";
    this.dispatchEvent(new Event("visibilitychange"));
  }

  [Symbol.dispose](): void {
    Reflect.deleteProperty(globalThis, "document");
  }
}
