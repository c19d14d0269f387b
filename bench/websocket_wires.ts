/**
 * The protocols over WebSocket (RFC 6455): plain text messages, those of our relay, and Socket.IO 5
 * over Engine.IO 4 without polling.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import {
  bytesOf,
  expectBytes,
  HELLO,
  readUntil,
  SILENT,
  type Socket,
  SUBSCRIBED,
  subscribeLine,
  type Wire,
  writeAll,
} from "./wire.ts";

const FINAL_TEXT = 0x81;
const MASKED = 0x80;

/** A client masks what it sends. Any key costs the server the same. */
const MASK = new Uint8Array([0x37, 0xfa, 0x21, 0x3d]);

/** Every event is a text message, for those on the same path. */
export const websocket: Wire = websocketOn("");

function websocketOn(subject: string): Wire {
  return {
    ...SILENT,
    join: (connection) => upgrade(connection, `/${subject}`),
    publish: (event) => clientFrame(event),
    deliver: (event) => serverFrame(event),
    on: websocketOn,
  };
}

/** Our relay: an event is a text message, and its name is its subject. It ends with a Close frame. */
export const relayWebsocket: Wire = {
  ...websocketOn("ws"),
  async join(connection) {
    await upgrade(connection, "/ws");
    await writeAll(connection, clientFrame(bytesOf(HELLO)));
    await readUntil(connection, (text) => text.endsWith("}"));
  },
  farewell: concat([new Uint8Array([0x88, 5, 1000 >> 8, 1000 & 255]), bytesOf("eof")]),
  on: relayWebsocketOn,
};

function relayWebsocketOn(name: string): Wire {
  return {
    ...relayWebsocket,
    async join(connection, role) {
      await upgrade(connection, "/ws");
      await writeAll(connection, clientFrame(bytesOf(subscribeLine(name, role))));
      await expectBytes(connection, serverFrame(bytesOf(SUBSCRIBED)));
    },
  };
}

const ENGINE_PATH = "/socket.io/?EIO=4&transport=websocket";

/** Every event is the one argument of `message`. */
export const socketIo: Wire = {
  ...SILENT,
  join: (connection) => joinSocketIo(connection, ENGINE_PATH),
  publish: (event) => clientFrame(socketIoPacket('"message"', event)),
  deliver: (event) => serverFrame(socketIoPacket('"message"', event)),
  on: socketIoOn,
};

/** In a room, an event is the second argument of `publish`, and the first is the room. */
function socketIoOn(room: string): Wire {
  return {
    ...socketIo,
    join: (connection) => joinSocketIo(connection, `${ENGINE_PATH}&room=${room}`),
    publish: (event) => clientFrame(socketIoPacket(`"publish","${room}"`, event)),
  };
}

async function joinSocketIo(connection: Socket, path: string): Promise<void> {
  await upgrade(connection, path);
  await writeAll(connection, clientFrame(bytesOf("40")));
  await readUntil(connection, (text) => /40\{"sid":"[^"]+"\}$/.test(text));
}

/** A message of Engine.IO with an event of Socket.IO: its name and arguments. */
function socketIoPacket(head: string, event: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([bytesOf(`42[${head},`), event, bytesOf("]")]);
}

/** RoundRobin a new connection into a WebSocket; Engine.IO says its first words at once. */
async function upgrade(connection: Socket, path: string): Promise<void> {
  const request = [
    `GET ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  await writeAll(connection, bytesOf(`${request.join("\r\n")}\r\n\r\n`));
  const isEngine = path.startsWith(ENGINE_PATH);
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
