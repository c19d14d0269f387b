import type { Relay } from "../../relay.ts";
import { EventStreamReader } from "./event_stream.ts";
import { Peer } from "./peer.ts";
import { soon } from "./waiting.ts";

/** A client of `/events` that reads only while a test waits for something. */
export class Listener implements Disposable {
  readonly reader = new EventStreamReader();
  /** The head of the response. */
  head = "";
  /** Set if the stream has ended. */
  hasEnded = false;
  readonly #peer: Peer;
  readonly #decoder = new TextDecoder();
  readonly #buffer = new Uint8Array(65_536);

  private constructor(peer: Peer) {
    this.#peer = peer;
  }

  /** Asks for a stream, after the event with an id if it is not empty. */
  static async open(relay: Relay, query: string, id = "", ...fields: string[]): Promise<Listener> {
    const peer = await Peer.connect(relay.server.address, { silent: true });
    const lines = [`GET /events?${query} HTTP/1.1`, "Host: 127.0.0.1", ...fields];
    if (id !== "") lines.push(`Last-Event-ID: ${id}`);
    await peer.send(`${lines.join("\r\n")}\r\n\r\n`);
    return new Listener(peer);
  }

  /** Reads until something holds, or the stream has ended. */
  async until(condition: (reader: EventStreamReader) => boolean): Promise<void> {
    const read = async () => {
      while (!condition(this.reader) && !this.hasEnded) await this.read();
    };
    await soon(read(), () => `${condition}, after ${JSON.stringify(this.reader).slice(-500)}`);
  }

  /** Reads once. */
  async read(): Promise<void> {
    const length = await this.#peer.conn.read(this.#buffer);
    if (length === null) {
      this.hasEnded = true;
      return;
    }
    let text = this.#decoder.decode(this.#buffer.subarray(0, length), { stream: true });
    if (!this.head.includes("\r\n\r\n")) {
      this.head += text;
      const end = this.head.indexOf("\r\n\r\n");
      if (end < 0) return;
      text = this.head.slice(end + 4);
      this.head = this.head.slice(0, end + 4);
    }
    this.reader.push(text);
  }

  /** Reads until the stream has caught up, which an id without a message says. */
  async live(): Promise<void> {
    await this.until(({ lastEventId, ids }) => lastEventId !== "" && ids.at(-1) !== lastEventId);
  }

  /** The types of the messages so far, with the names of events and the data of others. */
  get seen(): unknown[] {
    return this.reader.messages.map(({ type, data }) => {
      const value = JSON.parse(data);
      return type === "message" ? value.event : [type, value];
    });
  }

  [Symbol.dispose](): void {
    this.#peer.close();
  }
}
