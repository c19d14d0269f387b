/**
 * Owns a connection on which the tools see the lines of events as they are, byte for byte: what a client
 * decodes has lost how it was written. Must not know what becomes of them.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import type { ClientOptions } from "../client.ts";
import { checkClientOptions } from "../client/options.ts";
import type { ControlLine } from "../protocol/control.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import { readString } from "../protocol/envelope.ts";
import type { CloseInfo } from "../errors.ts";
import { decodeWelcome } from "../protocol/greeting.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { printable } from "../protocol/printable.ts";
import type { HelloExtras } from "../client/subscriptions.ts";
import type { Feature } from "../protocol/routing.ts";
import { Session, type SessionSink } from "../client/session.ts";
import type { Place } from "../net/transport.ts";
import {
  type EnvelopeKey,
  FROM,
  ID,
  type LineKind,
  LineValidator,
  REPLY_TO,
} from "../protocol/validator.ts";
import { LONGEST_LINE_BYTES } from "./file_checker.ts";

/** A tool takes whatever the relay lets through, however deep it is. */
const MAX_DEPTH = 1000;

/** How long connecting may take, with the greeting, in milliseconds. */
const OPEN_MS = 10_000;

/** How long a server may take to greet that need not, but should, in milliseconds. */
const PATIENT_MS = 3000;

const QUOTE = 0x22;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** An event that has come. What it tells holds until the next one. */
export interface ReceivedLine {
  /** The line, with its `\n`. It never changes. */
  readonly bytes: Uint8Array;
  /** The name of the event. */
  readonly name: string;
  /** What an answer to it is to call it: it is a request. */
  readonly id: string | null;
  /** The client that has sent it, by the word of the relay. */
  readonly from: string | null;
  /** The request that it answers. */
  readonly replyTo: string | null;
}

/** Who hears of what comes. */
export interface WireSink {
  /** An event has come. */
  onEvent(event: ReceivedLine): void;
  /** The server has said something to us alone. */
  onControl(line: ControlLine): void;
  /** The connection has ended; this is the last call. */
  onEnd(info: CloseInfo): void;
}

/** Options of {@link Wire.open}. */
export interface WireOptions {
  /** The token, and what TLS needs. */
  readonly secrets?: Pick<ClientOptions, "token" | "tls">;
  /** Whether the server is asked to say which events it has taken. */
  readonly acks?: boolean;
  /**
   * Whether the server has to say what it can do: `required` if nothing goes without, `wanted` if that
   * is worth waiting for. What it has not said, nobody may take for what it cannot do.
   */
  readonly welcome?: "required" | "wanted";
  /** Gives the attempt up when aborted. */
  readonly signal: AbortSignal;
}

/** A connection to a server that has been greeted. */
export class Wire {
  readonly #session: Session;
  /** What the server can do beyond passing events on. */
  readonly features: readonly Feature[];

  private constructor(session: Session, features: readonly Feature[]) {
    this.#session = session;
    this.features = features;
  }

  /**
   * Connects, and waits for the greeting of the server.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {Deno.errors.NotCapable} Without the permission to.
   */
  static async open(
    where: Place,
    sink: WireSink,
    { secrets = {}, acks = false, welcome, signal }: WireOptions,
  ): Promise<Wire> {
    let features: readonly Feature[] = [];
    const wireDecoder = new WireDecoder(sink, (line) => {
      features = decodeWelcome(line)?.features ?? features;
      sink.onControl(line);
    });
    const settings = checkClientOptions({ ...secrets, maxLineBytes: LONGEST_LINE_BYTES });
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new Error(`no answer within ${OPEN_MS} ms`));
    }, OPEN_MS);
    try {
      const session = await Session.open(
        where,
        {
          ...settings,
          decoder: wireDecoder,
          wantsAcks: acks,
          ...(welcome && { greetingTimeout: PATIENT_MS }),
        },
        new End(sink, welcome === "required"),
        AbortSignal.any([signal, late.signal]),
      );
      return new Wire(session, features);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Where the server is. */
  get address(): Address {
    return this.#session.connection.address;
  }

  /** Where the server is, for people. */
  get place(): string {
    return printable(formatAddress(this.address));
  }

  /** What the server calls this client, or `null` if it has not said. */
  get id(): string | null {
    return this.#session.id;
  }

  /** Whether the server says which events it has taken. */
  get hasAcks(): boolean {
    return this.#session.hasAcks;
  }

  /** The longest line that the server takes, in bytes without its end, as far as is known. */
  get maxLineBytes(): number {
    return this.#session.maxLineBytes;
  }

  /** Queues `count` events, or control lines, which do not count. */
  send(lines: Uint8Array, count = 0): boolean {
    return this.#session.connection.send(lines, count);
  }

  /** A promise that resolves when there is room for more; `null` while there is. */
  room(): Promise<void> | null {
    return this.#session.connection.room();
  }

  /** Waits until the operating system has taken all. */
  async flush(): Promise<void> {
    await this.#session.connection.flush();
  }

  /** Reads no more for now. */
  pause(): void {
    this.#session.connection.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#session.connection.resume();
  }

  /** Sends what is queued, then ends. */
  async close(): Promise<void> {
    this.#session.connection.resume();
    this.#session.connection.close();
    await this.#session.connection.closed;
  }
}

/** Hears of a session only that it has ended: the decoder tells the rest. */
class End implements SessionSink {
  readonly #sink: WireSink;
  readonly #needsWelcome: boolean;

  constructor(sink: WireSink, needsWelcome: boolean) {
    this.#sink = sink;
    this.#needsWelcome = needsWelcome;
  }

  onHello(): HelloExtras {
    return { lines: [], needsWelcome: this.#needsWelcome, confirmed: null, onGreeted: () => {} };
  }

  admits(): boolean {
    return true;
  }

  onEvents(): void {}
  onWelcome(): void {}
  onAck(): void {}
  onGap(): void {}
  onWord(): void {}

  onEnd(_: Session, info: CloseInfo): void {
    this.#sink.onEnd(info);
  }
}

/** Passes events on as they are, and gives a session only what is meant for it. */
class WireDecoder extends BlockDecoder {
  readonly #lines = new LineValidator(MAX_DEPTH);
  readonly #sink: WireSink;
  readonly #onControl: (line: ControlLine) => void;

  constructor(sink: WireSink, onControl: (line: ControlLine) => void) {
    super(MAX_DEPTH);
    this.#sink = sink;
    this.#onControl = onControl;
  }

  override decode(block: Uint8Array): ControlLine[] {
    const controls: ControlLine[] = [];
    const lines = this.#lines.open(block);
    const event = new LineView(block, lines);
    for (let start = 0, kind: LineKind; start < block.length; start = lines.end + 1) {
      kind = lines.validate(start);
      this.lines++;
      this.fault = kind === "invalid" ? lines.fault : null;
      if (this.fault) break;
      if (kind === "event") {
        event.start = start;
        this.#sink.onEvent(event);
      } else if (kind === "control") {
        const text = decoder.decode(block.subarray(start, lines.end));
        const line = parseLine(text, lines.hasEscapedKey) as ControlLine;
        this.#onControl(line);
        controls.push(line);
      }
    }
    return controls;
  }
}

/** The line that a validator has looked at last. */
class LineView implements ReceivedLine {
  readonly #block: Uint8Array;
  readonly #lines: LineValidator;
  /** Where it begins. */
  start = 0;

  constructor(block: Uint8Array, lines: LineValidator) {
    this.#block = block;
    this.#lines = lines;
  }

  get bytes(): Uint8Array {
    return this.#block.subarray(this.start, this.#lines.end + 1);
  }

  get name(): string {
    return readString(this.#block, this.#lines.nameStart - 1);
  }

  get id(): string | null {
    return this.#textOf(ID);
  }

  get from(): string | null {
    return this.#textOf(FROM);
  }

  get replyTo(): string | null {
    return this.#textOf(REPLY_TO);
  }

  #textOf(key: EnvelopeKey): string | null {
    if (!this.#lines.has(key)) return null;
    const value = this.#lines.valueAt(key);
    return this.#block[value] === QUOTE ? readString(this.#block, value) : null;
  }
}
