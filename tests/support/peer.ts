/** A peer that speaks raw TCP, as `nc` would: what a program without the library sees. */

import type { Address } from "../../protocol/address.ts";
import { soon } from "./waiting.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Peer implements AsyncDisposable {
  #text = "";
  #ended: string | null = null;
  #isClosed = false;
  #news = Promise.withResolvers<void>();
  readonly #reading: Promise<void>;

  private constructor(readonly conn: Deno.TcpConn, isReading: boolean) {
    this.#reading = isReading ? this.#read() : Promise.resolve();
  }

  /** Connects; a peer that is `silent` never reads. */
  static async connect(
    [hostname, port]: Address,
    { silent = false }: { silent?: boolean } = {},
  ): Promise<Peer> {
    return new Peer(await Deno.connect({ hostname, port }), !silent);
  }

  /** All that has arrived. */
  get text(): string {
    return this.#text;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (;;) {
        const length = await this.conn.read(buffer);
        if (length === null) break;
        this.#text += decoder.decode(buffer.subarray(0, length), { stream: true });
        this.#tell();
      }
      this.#ended = "eof";
    } catch (error) {
      this.#ended = error instanceof Error ? error.name : String(error);
    }
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Sends text, or bytes, as they are. */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  /** Waits until what has arrived includes `text`. */
  async sees(text: string): Promise<void> {
    await this.#until(() => this.#text.includes(text), text);
  }

  /** Waits until the other side has closed; gives all lines that came. */
  async lines(): Promise<string[]> {
    await this.#until(() => this.#ended === "eof", "the end");
    return this.#text.split("\n").slice(0, -1);
  }

  /** Waits until `condition` holds. Keep-alive lines do not prolong the wait. */
  async #until(condition: () => boolean, what: string): Promise<void> {
    const wait = async () => {
      while (!condition()) {
        if (this.#ended !== null) throw new Error(`${this.#ended} before ${what} in ${this.#text}`);
        await this.#news.promise;
      }
    };
    await soon(wait(), () => `${what} in ${this.#text.slice(-200)}`);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.conn.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#reading;
  }
}
