/**
 * Owns the protocols over WebSocket (RFC 6455): plain text messages, and Socket.IO 5 over Engine.IO 4
 * without polling. Must not know their servers.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { bytesOf, readUntil, SILENT, type Wire, writeAll } from "./wire.ts";

const FINAL_TEXT = 0x81;
const MASKED = 0x80;

/** A client masks what it sends. Any key costs the server the same. */
const MASK = new Uint8Array([0x37, 0xfa, 0x21, 0x3d]);

/** Every event is a text message. */
export const websocket: Wire = {
  ...SILENT,
  join: (connection) => upgrade(connection, "/"),
  publish: (event) => clientFrame(event),
  deliver: (event) => serverFrame(event),
};

const EVENT_PREFIX = bytesOf('42["message",');
const EVENT_SUFFIX = bytesOf("]");

/** Every event is the one argument of `message`. */
export const socketIo: Wire = {
  ...SILENT,
  async join(connection) {
    await upgrade(connection, "/socket.io/?EIO=4&transport=websocket");
    await writeAll(connection, clientFrame(bytesOf("40")));
    await readUntil(connection, (text) => /40\{"sid":"[^"]+"\}$/.test(text));
  },
  publish: (event) => clientFrame(concat([EVENT_PREFIX, event, EVENT_SUFFIX])),
  deliver: (event) => serverFrame(concat([EVENT_PREFIX, event, EVENT_SUFFIX])),
};

/** Turns a new connection into a WebSocket; Engine.IO says its first words at once. */
async function upgrade(connection: Deno.Conn, path: string): Promise<void> {
  const request = [
    `GET ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  await writeAll(connection, bytesOf(`${request.join("\r\n")}\r\n\r\n`));
  const isEngine = path !== "/";
  const answer = await readUntil(
    connection,
    (text) => text.includes("\r\n\r\n") && (!isEngine || text.endsWith("}")),
  );
  if (!answer.startsWith("HTTP/1.1 101 ")) throw new Error(`Received ${JSON.stringify(answer)}`);
}

function serverFrame(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([header(payload.length, 0), payload]);
}

function clientFrame(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const masked = payload.map((byte, i) => byte ^ MASK[i % 4]!);
  return concat([header(payload.length, MASKED), MASK, masked]);
}

function header(length: number, masked: number): Uint8Array<ArrayBuffer> {
  if (length > 0xffff) throw new RangeError(`Cannot frame ${length} bytes, 65535 are the most`);
  return new Uint8Array(
    length < 126
      ? [FINAL_TEXT, masked | length]
      : [FINAL_TEXT, masked | 126, length >> 8, length & 255],
  );
}
