/**
 * The program that is all clients of a busy room: how it is compiled, started and controlled.
 *
 * The program is in C, since 1,000 events a second to 500 sockets, each read and checked, keep Deno
 * busy all the time. It has the sockets and does not know the protocol, so a protocol joins through
 * it. Each command is a letter and what belongs to it, with numbers of 32 bits:
 *
 * - `c`: connect; the number of a connection is that of those before it
 * - `w` connection, length, bytes: write
 * - `r` connection: read; the answer is a length, and as many bytes
 * - `l` the frames, see {@link RoomDriver.load}
 * - `g` events, nanoseconds between two of them: send, and wait until all clients have them
 * - `t`: the answer is the latency of each delivery, and how late each event was sent, in
 *   microseconds, as floats
 * - `x`: close all connections
 *
 * The answer is a dot where nothing else is said.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { ClientProcess } from "./client_process.ts";
import type { MeasuredProcess, ProcessOptions } from "./measured_process.ts";
import { compile, INSTALL_COMPILER } from "./programs.ts";
import type { Socket } from "./wire.ts";
import { within } from "./within.ts";

/** How long the program may take for what does not depend on the server, in milliseconds. */
const ANSWER_MS = 30_000;

/** How long a server may need for the events of a round, in milliseconds. */
const ROUND_MS = 300_000;

const NUMBER_BYTES = 4;
const encoder = new TextEncoder();

/** How the program is made. */
export const ROOM_DRIVER = {
  name: "room driver",
  install: INSTALL_COMPILER,
  prepare: (folder: string): Promise<string | null> => compile(folder, "room_driver"),
};

/** What the clients of a room send, and get. */
export interface RoomFrames {
  /** How many connections receive: the first ones. */
  readonly clients: number;
  /** The number of the connection through which each client sends. */
  readonly senders: readonly number[];
  /** The bytes of each event as it is sent; the clients take turns. All have one length. */
  readonly published: readonly Uint8Array[];
  /** The same as it is received. All have one length. */
  readonly delivered: readonly Uint8Array[];
  /** Where the number of the sender is in what is received, in decimal digits, and how many. */
  readonly markAt: number;
  readonly markDigits: number;
  /** What a sender gets for each event; empty if nothing. */
  readonly ack: Uint8Array;
  /** What each client gets before its end, shorter than what it receives; empty if nothing. */
  readonly farewell: Uint8Array;
}

/** The times of a round, in microseconds, in no order. */
export interface RoomTimes {
  /** From when an event was due to when a client had read it, for each delivery. */
  readonly latencies: Float32Array<ArrayBuffer>;
  /** From when an event was due to when it was sent. */
  readonly lateness: Float32Array<ArrayBuffer>;
}

/** All clients of a room. */
export class RoomDriver implements AsyncDisposable {
  readonly #process: ClientProcess;
  #connections = 0;
  #clients = 0;
  /** How many events the last round had. */
  #events = 0;
  /** What the program has written, and nobody has read. */
  #unread: Uint8Array = new Uint8Array(0);

  private constructor(process: ClientProcess) {
    this.#process = process;
  }

  /** Starts the program that was made in `folder`. */
  static async start(folder: string, port: number, options: ProcessOptions): Promise<RoomDriver> {
    const command = { program: `${folder}/room_driver`, args: [`${port}`] };
    return new RoomDriver(await ClientProcess.start("room driver", command, options));
  }

  /** The process, whose CPU time tells whether it is the limit. */
  get process(): MeasuredProcess {
    return this.#process;
  }

  /** Connects once more. */
  async connect(): Promise<Socket> {
    await this.#do(ANSWER_MS, "c");
    const number = this.#connections++;
    return {
      write: async (bytes) => {
        await this.#do(ANSWER_MS, "w", numbers(number, bytes.length), bytes);
        return bytes.length;
      },
      read: async (buffer) => {
        this.#say("r", numbers(number));
        const [length] = new Uint32Array(await this.#hear(ANSWER_MS, NUMBER_BYTES));
        buffer.set(new Uint8Array(await this.#hear(ANSWER_MS, length!)));
        return length === 0 ? null : length!;
      },
    };
  }

  /** Hands over what is to be sent, and received. */
  async load(frames: RoomFrames): Promise<void> {
    const { clients, senders, published, delivered, markAt, markDigits, ack, farewell } = frames;
    this.#clients = clients;
    const sizes = [published[0]!.length, delivered[0]!.length];
    const lengths = [ack.length, farewell.length];
    const plan = [clients, published.length, ...sizes, markAt, markDigits, ...lengths];
    const bytes = concat([numbers(...plan, ...senders), ack, farewell, ...published, ...delivered]);
    await this.#do(ANSWER_MS, "l", bytes);
  }

  /** Sends the next events at a steady pace, and waits until every client has them. */
  async run(events: number, perSecond: number): Promise<void> {
    this.#events = events;
    await this.#do(ROUND_MS, "g", numbers(events, Math.round(1e9 / perSecond)));
  }

  /** The times of the last round. */
  async times(): Promise<RoomTimes> {
    this.#say("t");
    const latencies = await this.#hear(ANSWER_MS, this.#events * this.#clients * NUMBER_BYTES);
    const lateness = await this.#hear(ANSWER_MS, this.#events * NUMBER_BYTES);
    return { latencies: new Float32Array(latencies), lateness: new Float32Array(lateness) };
  }

  /** Ends every connection in order; fails if a client gets anything more before its end. */
  async finish(): Promise<void> {
    await this.#do(ANSWER_MS, "x");
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  /** Says a command, and waits until it is done. */
  async #do(ms: number, letter: string, ...rest: Uint8Array[]): Promise<void> {
    this.#say(letter, ...rest);
    await this.#hear(ms, 1);
  }

  #say(letter: string, ...rest: Uint8Array[]): void {
    const bytes = concat([encoder.encode(letter), ...rest]);
    this.#process.ask(bytes).catch(() => {}); // the end of the process is told where it is heard
  }

  /** The next bytes that the program says. */
  async #hear(ms: number, length: number): Promise<ArrayBuffer> {
    const chunks = [this.#unread];
    let heard = this.#unread.length;
    while (heard < length) {
      const chunk = await within(ms, "Waiting for the room", this.#process.hear());
      chunks.push(chunk);
      heard += chunk.length;
    }
    const bytes = concat(chunks);
    this.#unread = bytes.subarray(length);
    return bytes.buffer.slice(0, length);
  }
}

/** Numbers in the order of bytes of this machine. */
function numbers(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
