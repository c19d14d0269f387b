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
  /** What a client gets before the end of a connection that it has half-closed; empty if nothing. */
  readonly farewell: Uint8Array<ArrayBuffer>;
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
  farewell: new Uint8Array(0),
} satisfies Partial<Wire>;

/** Whatever copies bytes: an event is a line. */
export const lines: Wire = {
  ...SILENT,
  publish: (event) => concat([event, bytesOf("\n")]),
  deliver: (event) => concat([event, bytesOf("\n")]),
};

/** What clients of our relay say first, as those of its library do. It answers with one line. */
export const HELLO = '{"control":"hello"}';

/** Our relay: an event is a line, and its name is its subject. */
export const relayLines: Wire = {
  ...lines,
  on: relayLinesOn,
  async join(connection) {
    await writeAll(connection, bytesOf(`${HELLO}\n`));
    await readUntil(connection, (text) => text.endsWith("\n"));
  },
};

function relayLinesOn(subject: string): Wire {
  return {
    ...relayLines,
    async join(connection, role) {
      await writeAll(connection, bytesOf(`${subscribeLine(subject, role)}\n`));
      await expectBytes(connection, `${SUBSCRIBED}\n`);
    },
  };
}

/** What a client of our relay says to hear the events of one name, or, if it only publishes, none. */
export function subscribeLine(name: string, role: Role): string {
  return JSON.stringify({
    control: "subscribe",
    events: role === "publisher" ? [] : [name],
    id: "s",
  });
}

/** What our relay answers. */
export const SUBSCRIBED = '{"control":"ack","id":"s"}';

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

/** Reads what must be `expected`; a text has one character for each byte. */
export async function expectBytes(
  connection: Socket,
  expected: string | Uint8Array,
): Promise<void> {
  const wanted = typeof expected === "string" ? expected : decoder.decode(expected);
  const text = await readUntil(connection, (text) => text.length >= wanted.length);
  if (text === wanted) return;
  throw new Error(`Expected ${JSON.stringify(wanted)}, received ${JSON.stringify(text)}`);
}
