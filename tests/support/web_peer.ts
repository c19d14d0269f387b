/** A peer that speaks WebSocket by hand, so that it can also break its rules. */

import { concat } from "@std/bytes/concat";
import type { Address } from "../../protocol/address.ts";
import { soon } from "./waiting.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Any key of 16 bytes, and the hash that has to answer it (RFC 6455, section 1.3). */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** A request for a WebSocket. */
export const UPGRADE = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n" +
  `Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;

/** The mask of all frames, in which every bit counts somewhere. */
const MASK = [0x5a, 0x00, 0xff, 0x13];

/** Returns a frame as a client sends it. */
export function clientFrame(
  payload: string | Uint8Array,
  { opcode = 1, isFinal = true }: { opcode?: number; isFinal?: boolean } = {},
): Uint8Array {
  const bytes = typeof payload === "string" ? encoder.encode(payload) : payload;
  const { length } = bytes;
  const head = length < 126
    ? [length]
    : length < 65_536
    ? [126, length >> 8, length & 255]
    : [127, 0, 0, 0, 0, length >>> 24, length >> 16 & 255, length >> 8 & 255, length & 255];
  head[0]! |= 0x80;
  const first = (isFinal ? 0x80 : 0) | opcode;
  const masked = bytes.map((byte, i) => byte ^ MASK[i % 4]!);
  return concat([new Uint8Array([first, ...head, ...MASK]), masked]);
}

/** A frame of the server. */
interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

export class WebPeer implements AsyncDisposable {
  /** The texts of all messages so far. */
  readonly messages: string[] = [];
  /** The payloads of all Pings and Pongs so far, each behind its name. */
  readonly control: string[] = [];
  /** The code and the reason of the Close frame, once it has come. */
  closed: [code: number, reason: string] | null = null;
  /** Whether the connection has ended. */
  hasEnded = false;
  readonly #conn: Deno.Conn;
  #bytes = new Uint8Array(0);
  #news = Promise.withResolvers<void>();
  #reading: Promise<void> | null = null;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects, and makes a WebSocket of the connection. A `silent` peer reads nothing after that. */
  static async connect(
    [hostname, port]: Address,
    { path = "/ws", fields = {}, silent = false }: {
      path?: string;
      fields?: Record<string, string>;
      silent?: boolean;
    } = {},
  ): Promise<WebPeer> {
    const peer = new WebPeer(await Deno.connect({ hostname, port }));
    const all = {
      "Host": `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`,
      "Connection": "Upgrade",
      "Upgrade": "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": KEY,
      ...fields,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    await peer.send(encoder.encode(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`));
    await soon(peer.#readHead(), "the answer to an upgrade");
    if (!silent) peer.#reading = peer.#read();
    return peer;
  }

  async #readHead(): Promise<void> {
    for (;;) {
      const text = decoder.decode(this.#bytes);
      const end = text.indexOf("\r\n\r\n");
      if (end >= 0) {
        if (!text.includes(`Sec-WebSocket-Accept: ${ACCEPT}`)) throw new Error(text);
        this.#bytes = this.#bytes.slice(encoder.encode(text.slice(0, end + 4)).length);
        return;
      }
      if (!await this.#more()) throw new Error(`end of connection after ${text}`);
    }
  }

  async #more(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    const length = await this.#conn.read(buffer).catch(() => null);
    if (length !== null) this.#bytes = concat([this.#bytes, buffer.subarray(0, length)]);
    return length !== null;
  }

  async #read(): Promise<void> {
    do {
      for (let frame; (frame = this.#next());) this.#take(frame);
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    } while (await this.#more());
    this.hasEnded = true;
    this.#news.resolve();
  }

  /** Cuts the next whole frame off. */
  #next(): Frame | null {
    const bytes = this.#bytes;
    if (bytes.length < 2) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const short = bytes[1]!;
    if (short > 127) throw new Error("a server must not mask its frames");
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < start) return null;
    const length = short < 126 ? short : short === 126 ? view.getUint16(2) : view.getUint32(6);
    if (bytes.length < start + length) return null;
    this.#bytes = bytes.slice(start + length);
    if (bytes[0]! < 0x80) throw new Error("a message must be one frame");
    return { opcode: bytes[0]! & 15, payload: bytes.slice(start, start + length) };
  }

  #take({ opcode, payload }: Frame): void {
    if (this.closed) throw new Error("a frame follows the Close frame");
    const text = new TextDecoder("utf-8", { fatal: true }).decode(
      opcode === 8 ? payload.subarray(2) : payload,
    );
    if (opcode === 1) this.messages.push(text);
    else if (opcode === 8) {
      this.closed = [new DataView(payload.buffer).getUint16(0), text];
      this.send(clientFrame(payload, { opcode: 8 })).catch(() => {}); // It may have ended.
    } else if (opcode === 9 || opcode === 10) {
      this.control.push(`${opcode === 9 ? "ping" : "pong"} ${text}`.trimEnd());
    } else throw new Error(`opcode ${opcode}`);
  }

  /** Sends bytes as they are. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /** Sends a text message. */
  async say(text: string): Promise<void> {
    await this.send(clientFrame(text));
  }

  /** Waits until `condition` holds. */
  async sees(condition: (peer: WebPeer) => boolean): Promise<void> {
    const wait = async () => {
      while (!condition(this)) {
        if (this.hasEnded) throw new Error(`the end before ${condition} in ${this.messages}`);
        await this.#news.promise;
      }
    };
    await soon(wait(), () => `${condition} in ${this.messages.slice(-5)}`);
  }

  /** Waits until the connection has ended. */
  async end(): Promise<void> {
    await soon(this.#reading ?? Promise.resolve(), "the end of the connection");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#conn.close();
    } catch {
      // It has been closed already.
    }
    await this.#reading;
  }
}
