/**
 * The backplane over NATS: chooses a server, and connects again for as long as it is open.
 *
 * Messages to all relays of the cluster NAME have the subject `eb.NAME.all`, and those to one relay
 * `eb.NAME.to.ID`.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { ConnectError } from "../errors.ts";
import type { StreamPort } from "../history/stream_port.ts";
import { formatAddress } from "../protocol/address.ts";
import type { Backplane, BackplaneSink } from "./backplane.ts";
import { NatsConnection, type NatsMember, toAuthenticator } from "./nats_connection.ts";
import {
  checkClusterOptions,
  type NatsServer,
  type NatsSettings,
  neighbourOf,
  urlOf,
} from "./nats_options.ts";
import type { ClusterOptions } from "./options.ts";

/**
 * Longest wait before the servers are tried again, in milliseconds: at first, and at most. It
 * doubles each time. Each wait is random from half of it on.
 */
const MIN_WAIT_MS = 250;
const MAX_WAIT_MS = 4000;

/**
 * Most servers to try, of those that were not given. They may be many, and not reachable from here.
 */
const MAX_NEIGHBOURS = 2;

/** A relay that has joined. */
interface Member extends NatsMember {
  readonly sink: BackplaneSink;
}

/** The way to the other relays over NATS. */
export class NatsBackplane implements Backplane {
  readonly #settings: NatsSettings;
  /** Ends everything that runs. */
  readonly #abort = new AbortController();
  #isClosing = false;
  #connection: NatsConnection | null = null;
  #maxMessageBytes = 0;
  /** Servers that were not given, as the last server has reported them. */
  #neighbours: NatsServer[] = [];
  /** Resolves when there is a connection again. */
  #connected: PromiseWithResolvers<void> | null = null;
  /** Resolves when nothing runs any more. */
  #ended: Promise<void> = Promise.resolve();

  /**
   * Creates a backplane, without connecting.
   *
   * @throws {TypeError} If an option is invalid. The message names the option.
   */
  constructor(options: ClusterOptions) {
    this.#settings = checkClusterOptions(options);
    if (options.credentials !== undefined) toAuthenticator(options.credentials); // to check them
  }

  /** The longest message, in bytes, at the current server, or else at the last one. */
  get maxMessageBytes(): number {
    return this.#maxMessageBytes;
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** The present connection, or `null`. */
  get connection(): NatsConnection | null {
    return this.#connection;
  }

  /** Resolves when there is a connection. */
  whenConnected(): Promise<void> {
    if (this.#connection) return Promise.resolve();
    this.#connected ??= Promise.withResolvers();
    return this.#connected.promise;
  }

  /** Returns the stream of the cluster's history. */
  async openStream(minMessageBytes: number): Promise<StreamPort> {
    const { NatsStream } = await import("./nats_stream.ts");
    return new NatsStream(this, this.#settings.name, minMessageBytes);
  }

  /**
   * Connects to one of the servers. Each of them has 5 s to answer.
   *
   * @throws {ConnectError} If no server can be used. The message says why not, for each.
   * @throws {Deno.errors.NotCapable} Without permission for the address.
   */
  async join(id: string, sink: BackplaneSink): Promise<void> {
    const member = { id, sink };
    const joined = this.#connect(member);
    this.#ended = joined.then((connection) => this.#stay(connection, member), () => {});
    await joined;
  }

  announce(message: Uint8Array): void {
    this.#connection?.announce(message);
  }

  send(to: string, head: Uint8Array, part: Uint8Array): void {
    this.#connection?.send(to, head, part);
  }

  whenReady(): Promise<void> | null {
    return this.#connection?.whenReady() ?? null;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#connection?.close();
    this.#abort.abort(new Error("the relay has left the cluster"));
    await this.#ended;
  }

  /** Connects again after each end of the connection, until {@link close}. */
  async #stay(first: NatsConnection, member: Member): Promise<void> {
    let connection: NatsConnection | null = first;
    while (connection) {
      this.#connection = connection;
      this.#maxMessageBytes = connection.maxMessageBytes;
      this.#connected?.resolve();
      this.#connected = null;
      if (connection !== first && !this.#isClosing) member.sink.onConnect();
      await connection.ended;
      this.#connection = null;
      if (this.#isClosing) return;
      this.#noteNeighbours(connection);
      member.sink.onDisconnect();
      connection = await this.#reconnect(member);
    }
  }

  #noteNeighbours({ server, neighbours }: NatsConnection): void {
    const given = this.#settings.servers.map(({ address }) => formatAddress(address));
    this.#neighbours = neighbours.filter((each) => !given.includes(each))
      .map((each) => neighbourOf(each, server)).filter((each) => each !== null);
  }

  /** Tries until it succeeds. Returns `null` after {@link close}. */
  async #reconnect(member: Member): Promise<NatsConnection | null> {
    const { signal } = this.#abort;
    for (let wait = MIN_WAIT_MS;; wait = Math.min(2 * wait, MAX_WAIT_MS)) {
      try {
        await delay(wait * (1 + Math.random()) / 2, { signal });
        return await this.#connect(member);
      } catch (error) {
        if (this.#isClosing) return null;
        member.sink.onFault(`${(error as Error).message}; trying again`);
      }
    }
  }

  /** Connects to one of the servers. */
  async #connect(member: Member): Promise<NatsConnection> {
    const neighbours = shuffle(this.#neighbours).slice(0, MAX_NEIGHBOURS);
    const servers = [...shuffle(this.#settings.servers), ...neighbours];
    const failures: string[] = [];
    let cause: unknown;
    for (const server of servers) {
      try {
        return await NatsConnection.open(server, this.#settings, member, this.#abort.signal);
      } catch (error) {
        const { name, message } = error as Error;
        if (name === "NotCapable") throw error;
        failures.push(`${urlOf(server)}: ${message}`);
        cause = error;
        if (this.#isClosing) break;
      }
    }
    const { name } = this.#settings;
    throw new ConnectError(`Cannot join cluster "${name}": ${failures.join("; ")}`, { cause });
  }
}

/** Returns the servers in random order, so that relays spread over them. */
function shuffle(servers: readonly NatsServer[]): NatsServer[] {
  const keyed = servers.map((server) => ({ server, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ server }) => server);
}
