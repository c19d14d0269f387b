import { concat } from "@std/bytes/concat";
import type { Backplane, BackplaneSink } from "../../cluster/backplane.ts";
import { MemoryStream, type MemoryStreamPort } from "./memory_stream.ts";

/** Connects the relays of one process, and fails on demand. */
export class MemoryHub {
  readonly #members = new Set<MemoryBackplane>();
  /** The stream of the history, if the relays have one. */
  readonly stream = new MemoryStream();
  /** How long messages take at least, in milliseconds. */
  delayMs = 0;
  /** Whether messages are dropped. */
  dropsMessages: (message: Uint8Array) => boolean = () => false;

  /** A way for one relay. */
  backplane(maxMessageBytes = 1_048_576): MemoryBackplane {
    return new MemoryBackplane(this, this.#members, maxMessageBytes);
  }

  /** Cuts all relays off, as the end of a server does. */
  stop(): void {
    for (const member of this.#members) member.cut();
  }

  /** Lets all relays reach each other again. */
  start(): void {
    for (const member of this.#members) member.mend();
  }
}

/** The way of one relay. */
export class MemoryBackplane implements Backplane {
  maxMessageBytes: number;
  isConnected = true;
  id = "";
  /** The way to the stream of the history. */
  port: MemoryStreamPort | null = null;
  /** Number of bytes sent. */
  bytesSent = 0;
  readonly #hub: MemoryHub;
  readonly #members: Set<MemoryBackplane>;
  #sink: BackplaneSink | null = null;
  #hasVanished = false;

  constructor(hub: MemoryHub, members: Set<MemoryBackplane>, maxMessageBytes: number) {
    this.#hub = hub;
    this.#members = members;
    this.maxMessageBytes = maxMessageBytes;
  }

  join(id: string, sink: BackplaneSink): Promise<void> {
    this.id = id;
    this.#sink = sink;
    this.#members.add(this);
    return Promise.resolve();
  }

  announce(message: Uint8Array): void {
    for (const member of this.#members) if (member !== this) this.#pass(member, message);
  }

  send(to: string, head: Uint8Array, part: Uint8Array): void {
    const message = concat([head, part]);
    for (const member of this.#members) if (member.id === to) this.#pass(member, message);
  }

  #pass(to: MemoryBackplane, message: Uint8Array): void {
    if (message.length > this.maxMessageBytes) throw new RangeError("the message is too long");
    this.bytesSent += message.length;
    const copy = message.slice();
    if (!this.isConnected || this.#hub.dropsMessages(copy)) return;
    if (this.#hasVanished || to.#hasVanished) return;
    // As over a socket, a message arrives in a later turn.
    setTimeout(() => to.isConnected && to.#sink?.onMessage(copy), this.#hub.delayMs);
  }

  openStream(): Promise<MemoryStreamPort> {
    this.port = this.#hub.stream.port();
    return Promise.resolve(this.port);
  }

  whenReady(): null {
    return null;
  }

  /** Cuts this relay off. */
  cut(): void {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.port?.cut();
    this.#sink?.onDisconnect();
  }

  /** Loses all messages from and to this relay from now on, without a word. */
  vanish(): void {
    this.#hasVanished = true;
  }

  /** Lets this relay reach the others again. */
  mend(): void {
    if (this.isConnected) return;
    this.isConnected = true;
    this.port?.mend();
    this.#sink?.onConnect();
  }

  close(): Promise<void> {
    this.#members.delete(this);
    return Promise.resolve();
  }
}
