/**
 * A server made of raw sockets that greets and acknowledges as a test tells it to, so that the test
 * says every byte itself, and when.
 */

import type { Address } from "../../protocol/address.ts";
import { freePort } from "./free_port.ts";
import { soon } from "./waiting.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a `welcome` says, beside that it is one. */
export type WelcomeMembers = Record<string, unknown>;

/** One client of a {@link FakeServer}. */
export class FakeSession {
  /** The first line of the client. */
  hello: Record<string, unknown> = {};
  #unread = "";
  readonly #buffer = new Uint8Array(65_536);

  constructor(readonly conn: Deno.TcpConn) {
    conn.setNoDelay(true);
  }

  /** The next line, or `null` at the end of the stream. */
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.#unread.indexOf("\n");
      if (end >= 0) {
        const line = this.#unread.slice(0, end);
        this.#unread = this.#unread.slice(end + 1);
        return line;
      }
      const length = await soon(this.conn.read(this.#buffer), "a line");
      if (length === null) return null;
      this.#unread += decoder.decode(this.#buffer.subarray(0, length), { stream: true });
    }
  }

  /** The names of the next `count` events. */
  async events(count: number): Promise<string[]> {
    const names: string[] = [];
    while (names.length < count) {
      const line = await this.line();
      if (line === null) throw new Error(`The stream ended after ${names}`);
      const { event } = JSON.parse(line || "{}");
      if (event !== undefined) names.push(event);
    }
    return names;
  }

  /** Sends a line. */
  async send(line: object): Promise<void> {
    await this.write(`${JSON.stringify(line)}\n`);
  }

  /** Sends text as it is. */
  async write(text: string): Promise<void> {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  /** Says that the first `events` events have been taken. */
  ack(events: number): Promise<void> {
    return this.send({ control: "ack", events });
  }

  /** Ends the connection, with a reason if there is one. */
  async close(reason?: string, members: object = {}): Promise<void> {
    if (reason) await this.send({ control: "close", reason, ...members });
    try {
      this.conn.close();
    } catch {
      // It has been closed before.
    }
  }
}

/** A listener whose clients a test takes one by one. */
export class FakeServer implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #sessions: FakeSession[] = [];
  readonly #ready: FakeSession[] = [];
  readonly #serving: Promise<void>;
  #news = Promise.withResolvers<void>();
  readonly address: Address;
  /** What each `hello` is answered with, from now on; nothing if it is `null`. */
  welcome: WelcomeMembers | null;
  /** How many clients have connected. */
  accepted = 0;

  /** Listens; answers each `hello` with the members of `welcome`, or not at all if that is `null`. */
  constructor(welcome: WelcomeMembers | null = {}, port = freePort()) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
    this.welcome = welcome;
    this.address = ["127.0.0.1", this.#listener.addr.port];
    this.#serving = this.#serve();
  }

  async #serve(): Promise<void> {
    const greeting: Promise<void>[] = [];
    // A client may leave while it is greeted, and a test may stop the server then.
    const greet = (session: FakeSession) => this.#greet(session).catch(() => {});
    try {
      for (;;) greeting.push(greet(new FakeSession(await this.#listener.accept())));
    } catch {
      // The listener has been closed.
    }
    await Promise.all(greeting);
  }

  async #greet(session: FakeSession): Promise<void> {
    this.accepted++;
    this.#sessions.push(session);
    session.hello = JSON.parse(await session.line() ?? "{}");
    if (this.welcome) {
      const id = `c${this.accepted}`;
      await session.send({ control: "welcome", version: 1, id, ...this.welcome });
    }
    this.#ready.push(session);
    this.#news.resolve();
  }

  /** The next client that has said hello, and has been welcomed. */
  async session(): Promise<FakeSession> {
    while (this.#ready.length === 0) {
      this.#news = Promise.withResolvers();
      await soon(this.#news.promise, "a client");
    }
    return this.#ready.shift()!;
  }

  /** Its socket. */
  async accept(): Promise<Deno.TcpConn> {
    return (await this.session()).conn;
  }

  /** Stops listening, and breaks all connections off. */
  async stop(): Promise<void> {
    this.#listener.close();
    for (const session of this.#sessions) await session.close();
    await this.#serving;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } catch {
      // The test has stopped it.
    }
  }
}
