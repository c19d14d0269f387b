/**
 * A WebSocket that looks like a socket of lines: what is written goes out as one message, and each
 * message that comes is read as a line.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Address } from "../../protocol/address.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { clientFrame, UPGRADE } from "../support/web_peer.ts";

/** Connects, and makes a WebSocket of the connection. */
export async function dialWebSocket([hostname, port]: Address): Promise<Deno.Conn> {
  const conn = await Deno.connect({ hostname, port });
  await conn.write(utf8(UPGRADE));
  const frames = new FrameReader(conn);
  await frames.skipHead();
  const socket = {
    read: (buffer: Uint8Array) => frames.read(buffer),
    async write(bytes: Uint8Array) {
      const frame = clientFrame(bytes);
      for (let sent = 0; sent < frame.length;) sent += await conn.write(frame.subarray(sent));
      return bytes.length;
    },
    close: () => conn.close(),
  };
  return socket as unknown as Deno.Conn;
}

/** Reads the text messages of a server as lines. */
class FrameReader {
  readonly #conn: Deno.Conn;
  readonly #buffer = new Uint8Array(65_536);
  /** What was received and is not a whole frame yet. */
  #rest = new Uint8Array(0);
  /** Lines that did not fit into the last read. */
  #lines = new Uint8Array(0);

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async skipHead(): Promise<void> {
    for (;;) {
      const text = textOf(this.#rest);
      const end = text.indexOf("\r\n\r\n");
      if (end >= 0) return void (this.#rest = this.#rest.slice(end + 4));
      if (!await this.#more()) throw new Error(`end of connection after ${text}`);
    }
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#lines.length === 0) {
      if (!await this.#more()) return null;
      this.#decode();
    }
    const part = this.#lines.subarray(0, buffer.length);
    buffer.set(part);
    this.#lines = this.#lines.slice(part.length);
    return part.length;
  }

  async #more(): Promise<boolean> {
    const length = await this.#conn.read(this.#buffer);
    if (length !== null) this.#rest = concat([this.#rest, this.#buffer.subarray(0, length)]);
    return length !== null;
  }

  #decode(): void {
    const bytes = this.#rest;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const lines: Uint8Array[] = [];
    let at = 0;
    while (at + 2 <= bytes.length) {
      const short = bytes[at + 1]!;
      const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
      if (start > bytes.length) break;
      const length = short < 126
        ? short
        : short === 126
        ? view.getUint16(at + 2)
        : view.getUint32(at + 6);
      if (start + length > bytes.length) break;
      const isText = bytes[at] === 0x81;
      if (isText) lines.push(bytes.slice(start, start + length), utf8("\n"));
      at = start + length;
    }
    this.#lines = concat(lines) as Uint8Array<ArrayBuffer>;
    this.#rest = bytes.slice(at);
  }
}
