import {
  type Expectation,
  StreamError,
  type StreamInfo,
  type StreamMessage,
  type StreamPort,
  type StreamReader,
  type StreamSettings,
} from "../../history/stream_port.ts";

/** A stream in memory, which the relays of one process share. It drops and loses messages on demand. */
export class MemoryStream {
  messages: StreamMessage[] = [];
  first = 1;
  last = 0;
  exists = false;
  created = 0;
  serverId = "server-1";
  replicas = 1;
  /** What every request to write is refused with, or an empty string. */
  refusal = "";
  settings: StreamSettings = { maxAge: Infinity, maxBytes: Infinity, maxMessages: Infinity };
  fault: string | null = null;
  maxMessageBytes = 2_000_000;
  readonly ports = new Set<MemoryStreamPort>();
  #stamp = 1_000_000;

  /** The way of one relay to it. */
  port(): MemoryStreamPort {
    const port = new MemoryStreamPort(this);
    this.ports.add(port);
    return port;
  }

  add(writer: string, data: Uint8Array): number {
    const seq = ++this.last;
    const stamp = `${++this.#stamp}`;
    this.messages.push({ writer, seq, at: Date.now(), stamp, data: new Uint8Array(data) });
    const excess = this.messages.length - this.settings.maxMessages;
    if (excess > 0) this.drop(this.messages[excess]!.seq);
    for (const port of this.ports) port.wake();
    return seq;
  }

  find(seq: number): StreamMessage | null {
    return this.messages.find((each) => each.seq === seq) ?? null;
  }

  lastOf(writer: string): StreamMessage | null {
    return this.messages.findLast((each) => each.writer === writer) ?? null;
  }

  /** Drops the messages before `first`, as a limit does. */
  drop(first: number): void {
    this.first = first;
    this.messages = this.messages.filter(({ seq }) => seq >= first);
  }

  /** Deletes one message, as `nats stream rmm` does. */
  remove(seq: number): void {
    this.messages = this.messages.filter((each) => each.seq !== seq);
  }

  /** Loses the messages after `last`, as a crash of the machine may do, and starts the server anew. */
  lose(last: number): void {
    for (const port of this.ports) port.cut();
    this.last = last;
    this.messages = this.messages.filter(({ seq }) => seq <= last);
    this.serverId += "+";
  }

  /** Deletes the stream. */
  delete(): void {
    this.exists = false;
    this.messages = [];
    this.first = 1;
    this.last = 0;
    for (const port of this.ports) port.endReaders();
  }
}

interface Reading {
  next: number;
  room: number;
  readonly onMessage: (message: StreamMessage) => void;
  readonly ended: PromiseWithResolvers<string>;
  isOver: boolean;
}

/** The way of one relay to a stream in memory. */
export class MemoryStreamPort implements StreamPort {
  isConnected = true;
  /** Whether messages come, or are held back until {@link wake}. */
  isHeld = false;
  /** Whether the answers to publishing are lost. The message is stored. */
  losesAnswers = false;
  /** What each publication waits for, after it has begun. */
  gate: Promise<void> | null = null;
  /** Number of publications that have begun. */
  publishing = 0;
  /** Number of messages that were published, and of answers about the stream. */
  published = 0;
  /** Number of readers that were made. */
  reads = 0;
  looks = 0;
  readonly #stream: MemoryStream;
  #connected = Promise.withResolvers<void>();
  #readings: Reading[] = [];

  constructor(stream: MemoryStream) {
    this.#stream = stream;
    this.#connected.resolve();
  }

  get serverId(): string {
    return this.#stream.serverId;
  }

  get maxMessageBytes(): number {
    return this.#stream.maxMessageBytes;
  }

  whenConnected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Takes the relay's way to the stream. */
  cut(): void {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.#connected = Promise.withResolvers();
    this.endReaders();
  }

  mend(): void {
    this.isConnected = true;
    this.#connected.resolve();
  }

  endReaders(): void {
    for (const reading of this.#readings.splice(0)) {
      reading.isOver = true;
      reading.ended.resolve("cut");
    }
  }

  async #turn(): Promise<void> {
    if (!this.isConnected) throw new StreamError("lost", "not connected");
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (!this.isConnected) throw new StreamError("lost", "not connected");
  }

  async info(): Promise<StreamInfo | null> {
    await this.#turn();
    this.looks++;
    const stream = this.#stream;
    if (!stream.exists) return null;
    return {
      ...stream.settings,
      created: `${stream.created}`,
      first: stream.first,
      last: stream.last,
      messages: stream.messages.length,
      bytes: stream.messages.reduce((sum, { data }) => sum + data.length, 0),
      replicas: stream.replicas,
      isClustered: false,
      isInMemory: false,
      fault: stream.fault,
    };
  }

  async create(settings: StreamSettings): Promise<void> {
    await this.#turn();
    if (this.#stream.refusal) throw new StreamError("refused", this.#stream.refusal);
    if (this.#stream.exists) return;
    this.#stream.exists = true;
    this.#stream.created++;
    this.#stream.settings = settings;
  }

  async get(seq: number): Promise<StreamMessage | null> {
    await this.#turn();
    return this.#stream.find(seq);
  }

  async next(seq: number): Promise<StreamMessage | null> {
    await this.#turn();
    return this.#stream.messages.find((each) => each.seq >= seq) ?? null;
  }

  async lastOf(writer: string): Promise<StreamMessage | null> {
    await this.#turn();
    return this.#stream.lastOf(writer);
  }

  async publish(writer: string, data: Uint8Array, expected: Expectation): Promise<number> {
    await this.#turn();
    this.publishing++;
    await this.gate;
    const stream = this.#stream;
    if (stream.refusal) throw new StreamError("refused", stream.refusal);
    if (!stream.exists) throw new StreamError("refused", "there is no stream");
    const { lastOfWriter, last } = expected;
    const ofWriter = stream.lastOf(writer)?.seq ?? 0;
    const isOther = lastOfWriter !== undefined && lastOfWriter !== ofWriter ||
      last !== undefined && last !== stream.last;
    if (isOther) throw new StreamError("conflict", "wrong last sequence");
    this.published++;
    const seq = stream.add(writer, data);
    if (this.losesAnswers) throw new StreamError("lost", "no answer");
    await this.#turn();
    return seq;
  }

  async read(from: number, onMessage: (message: StreamMessage) => void): Promise<StreamReader> {
    await this.#turn();
    const ended = Promise.withResolvers<string>();
    const reading: Reading = { next: from, room: 64, onMessage, ended, isOver: false };
    this.#readings.push(reading);
    this.reads++;
    this.wake();
    return {
      ended: ended.promise,
      taken: (messages) => {
        reading.room += messages;
        this.wake();
      },
      close: () => {
        reading.isOver = true;
        ended.resolve("closed");
      },
    };
  }

  wake(): void {
    for (const reading of this.#readings) setTimeout(() => this.#deliver(reading), 0);
  }

  #deliver(reading: Reading): void {
    for (const message of this.#stream.messages) {
      if (reading.isOver || reading.room === 0 || this.isHeld) return;
      if (message.seq < reading.next) continue;
      reading.next = message.seq + 1;
      reading.room--;
      reading.onMessage(message);
    }
  }
}
