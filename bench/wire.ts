/**
 * The port between the driver and the protocols: the bytes that a client of a server sends and
 * receives. Also the protocol of lines.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";

const decoder = new TextDecoder("latin1");
const encoder = new TextEncoder();

/** What a connection is for. */
export type Role = "publisher" | "subscriber" | "both";

/** What a protocol needs of a connection. */
export type Socket = Pick<Deno.Conn, "read" | "write">;

/** How events travel to and from one kind of server. */
export interface Wire {
  /** Whether a client that subscribes needs a second connection to publish. */
  readonly separatePublishers: boolean;
  /** Says what must be said on a new connection, and waits for the answer. */
  join(connection: Socket, role: Role): Promise<void>;
  /** Waits for what the server says to a new connection later, on its own account. */
  settle(connection: Socket): Promise<void>;
  /** The bytes that publish an event. */
  publish(event: Uint8Array): Uint8Array<ArrayBuffer>;
  /** The bytes that a subscriber gets for it. */
  deliver(event: Uint8Array): Uint8Array<ArrayBuffer>;
  /** What the publisher gets for it when `subscribers` do; empty if nothing. */
  acknowledge(subscribers: number): Uint8Array<ArrayBuffer>;
  /**
   * The same protocol on one subject alone: subscribers get what is published on it, and nothing
   * else. Absent where every client gets everything.
   */
  readonly on?: (subject: string) => Wire;
}

/** A protocol that needs no introduction, and no answers. */
export const SILENT = {
  separatePublishers: false,
  join: () => Promise.resolve(),
  settle: () => Promise.resolve(),
  acknowledge: () => new Uint8Array(0),
} satisfies Partial<Wire>;

/** Whatever copies bytes: an event is a line. */
export const lines: Wire = {
  ...SILENT,
  publish: (event) => concat([event, bytesOf("\n")]),
  deliver: (event) => concat([event, bytesOf("\n")]),
};

/** Our relay: an event is a line, and its name is its subject. */
export const relayLines: Wire = { ...lines, on: relayLinesOn };

function relayLinesOn(subject: string): Wire {
  return {
    ...relayLines,
    async join(connection, role) {
      const events = role === "publisher" ? [] : [subject];
      const line = JSON.stringify({ control: "subscribe", events, id: "s" });
      await writeAll(connection, bytesOf(`${line}\n`));
      await expectBytes(connection, '{"control":"ack","id":"s"}\n');
    },
  };
}

/** The bytes of a text. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Writes all of `bytes`. */
export async function writeAll(connection: Socket, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}

/** Reads until what has come satisfies `isEnd`; one character for each byte. */
export async function readUntil(
  connection: Socket,
  isEnd: (text: string) => boolean,
): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  while (!isEnd(text)) {
    const length = await connection.read(buffer);
    if (length === null) throw new Error(`The server closed after ${JSON.stringify(text)}`);
    text += decoder.decode(buffer.subarray(0, length));
  }
  return text;
}

/** Reads what must be `expected`. */
export async function expectBytes(connection: Socket, expected: string): Promise<void> {
  const text = await readUntil(connection, (text) => text.length >= expected.length);
  if (text === expected) return;
  throw new Error(`Expected ${JSON.stringify(expected)}, received ${JSON.stringify(text)}`);
}
