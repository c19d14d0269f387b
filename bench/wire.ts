/**
 * Owns what a client of a server puts on the wire, and gets from it: the port between the driver and
 * the protocols, and the protocol of lines. Must not know sockets' owners or figures.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";

const decoder = new TextDecoder("latin1");
const encoder = new TextEncoder();

/** What a connection is for. */
export type Role = "publisher" | "subscriber" | "both";

/** How events travel to and from one kind of server. */
export interface Wire {
  /** Whether a client that subscribes needs a second connection to publish. */
  readonly separatePublishers: boolean;
  /** Says what must be said on a new connection, and waits for the answer. */
  join(connection: Deno.Conn, role: Role): Promise<void>;
  /** Waits for what the server says to a new connection later, on its own account. */
  settle(connection: Deno.Conn): Promise<void>;
  /** The bytes that publish an event. */
  publish(event: Uint8Array): Uint8Array<ArrayBuffer>;
  /** The bytes that a subscriber gets for it. */
  deliver(event: Uint8Array): Uint8Array<ArrayBuffer>;
  /** What the publisher gets for it when `subscribers` do; empty if nothing. */
  acknowledge(subscribers: number): Uint8Array<ArrayBuffer>;
}

/** A protocol that needs no introduction, and no answers. */
export const SILENT = {
  separatePublishers: false,
  join: () => Promise.resolve(),
  settle: () => Promise.resolve(),
  acknowledge: () => new Uint8Array(0),
} satisfies Partial<Wire>;

/** Our relay, and whatever copies bytes: an event is a line. */
export const lines: Wire = {
  ...SILENT,
  publish: (event) => concat([event, bytesOf("\n")]),
  deliver: (event) => concat([event, bytesOf("\n")]),
};

/** The bytes of a text. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Writes all of `bytes`. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}

/** Reads until what has come satisfies `isEnd`; one character for each byte. */
export async function readUntil(
  connection: Deno.Conn,
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
export async function expectBytes(connection: Deno.Conn, expected: string): Promise<void> {
  const text = await readUntil(connection, (text) => text.length >= expected.length);
  if (text === expected) return;
  throw new Error(`Expected ${JSON.stringify(expected)}, received ${JSON.stringify(text)}`);
}
