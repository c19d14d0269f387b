/**
 * One connection to a NATS server, from the login to its end.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import {
  type Authenticator,
  createInbox,
  credsAuthenticator,
  type MsgHdrs,
} from "@nats-io/nats-core";
import { errors, NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { formatAddress } from "../protocol/address.ts";
import { CR, LF } from "../protocol/ascii.ts";
import { printable } from "../protocol/printable.ts";
import { encoder, NOTHING } from "../protocol/utf8.ts";
import type { BackplaneSink } from "./backplane.ts";
import { type NatsServer, type NatsSettings, urlOf } from "./nats_options.ts";
import { NatsRequests } from "./nats_requests.ts";
import {
  type NatsTransport,
  type NatsTransportOptions,
  useNatsTransport,
} from "./nats_transport.ts";

/** How long a server may take to answer, in milliseconds. */
const ANSWER_MS = 5000;

/** Interval of the pings to a server, in milliseconds. The third one in vain ends the connection. */
const PING_MS = 3000;
const MAX_PINGS = 2;

/** Longest message, in bytes, even if the server permits more. */
const MAX_MESSAGE_BYTES = 1_048_576;

/**
 * Most bytes that wait to be sent. Further messages are dropped. That happens only if many streams
 * send everything again at the same time, and they will do so once more.
 */
const MAX_PENDING_BYTES = 8_388_608;

/** How long the end of a connection may wait for the server to take everything, in milliseconds. */
const CLOSE_MS = 1000;

/** The end of a message. */
const CRLF = new Uint8Array([CR, LF]);

/** A relay, as its connection sees it. */
export interface NatsMember {
  /** The ID of the relay. */
  readonly id: string;
  readonly sink: Pick<BackplaneSink, "onMessage" | "onFault">;
}

/** One connection. */
export class NatsConnection {
  readonly server: NatsServer;
  /** The longest message, in bytes. */
  readonly maxMessageBytes: number;
  /** Resolves at the end of the connection. */
  readonly ended: Promise<void>;

  /** The connection of nats.js. */
  readonly client: NatsConnectionImpl;

  readonly #inboxes: string;
  #requests: NatsRequests | null = null;
  readonly #transport: NatsTransport;
  readonly #member: NatsMember;
  /** The subject of messages to all relays. */
  readonly #all: string;
  /** The start of the subject of messages to one relay, before its ID. */
  readonly #one: string;
  #isReady = false;
  /** The first error that the server reported before the connection was ready. */
  #refusal: string | null = null;

  private constructor(
    server: NatsServer,
    client: NatsConnectionImpl,
    cluster: string,
    member: NatsMember,
  ) {
    this.server = server;
    this.maxMessageBytes = Math.min(client.info!.max_payload, MAX_MESSAGE_BYTES);
    this.ended = client.closed().then(() => {});
    this.client = client;
    this.#transport = client.protocol.transport as NatsTransport;
    this.#member = member;
    this.#inboxes = inboxesOf(cluster, member.id);
    this.#all = `eb.${cluster}.all`;
    this.#one = `eb.${cluster}.to.`;
    this.#watch();
  }

  /**
   * Connects, and starts to receive.
   *
   * @throws {Error} If that fails. The message says why, without the address.
   */
  static async open(
    server: NatsServer,
    settings: NatsSettings,
    member: NatsMember,
    signal: AbortSignal,
  ): Promise<NatsConnection> {
    const client = await logIn(server, settings, member.id, signal);
    const connection = new NatsConnection(server, client, settings.name, member);
    try {
      await withDeadline(ANSWER_MS, (late) => connection.#subscribe(late), signal);
      return connection;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  async #subscribe(signal: AbortSignal): Promise<void> {
    const { id, sink } = this.#member;
    for (const subject of [this.#all, this.#one + id]) {
      this.client.subscribe(subject, {
        callback: (error, { data }) => {
          if (!error && this.#isReady && data.length > 0) sink.onMessage(data);
        },
      });
      // An empty message only asks whether this relay may publish.
      this.client.publish(subject, NOTHING);
    }
    // The server reports errors before it answers. #watch() has seen them after a second answer.
    for (let i = 0; i < 2; i++) {
      const end = this.ended.then(() => {
        throw new Error("the server closed the connection");
      });
      await abortable(Promise.race([this.client.flush(), end]), signal);
    }
    if (this.#refusal !== null) throw new Error(this.#refusal);
    this.#isReady = true;
  }

  /** Handles the reports of nats.js. */
  async #watch(): Promise<void> {
    for await (const status of this.client.status()) {
      if (status.type === "error") this.#onError(status.error);
    }
  }

  #onError(error: Error): void {
    const fault = this.#describe(error);
    if (!this.#isReady) {
      this.#refusal ??= fault;
      return;
    }
    if (error instanceof errors.PermissionViolationError) this.#requests?.refuse(error.subject);
    this.#report(fault);
    // Without its subscriptions, a relay hears nothing more.
    const isDeaf = error instanceof errors.PermissionViolationError &&
      error.operation === "subscription";
    if (isDeaf) void this.client.close();
  }

  #report(fault: string): void {
    this.#member.sink.onFault(`${urlOf(this.server)}: ${fault}`);
  }

  #describe(error: Error): string {
    if (!(error instanceof errors.PermissionViolationError)) {
      return `the server reports: ${printable(error.message)}`;
    }
    const isOne = error.subject.startsWith(this.#one);
    const subject = isOne ? `${this.#one}*` : printable(error.subject);
    const action = error.operation === "publish" ? "publish" : "subscribe";
    return `the server does not permit this relay to ${action} to ${subject}; ` +
      "its user has to publish and subscribe to eb.>";
  }

  /** Sends a message to all relays. */
  announce(message: Uint8Array): void {
    this.#publish(this.#all, message);
  }

  /** Sends a message to one relay, in two parts. */
  send(to: string, head: Uint8Array, part: Uint8Array): void {
    this.#publish(this.#one + to, head, part);
  }

  #publish(subject: string, head: Uint8Array, part: Uint8Array = NOTHING): void {
    const length = head.length + part.length;
    if (length > this.maxMessageBytes) {
      const max = `at most ${this.maxMessageBytes} here`;
      return this.#report(`cannot send a message of ${length} bytes, ${max}`);
    }
    if (this.client.isClosed() || this.#transport.pendingBytes > MAX_PENDING_BYTES) return;
    // Not by nats.js, which would copy the message once more.
    const line = encoder.encode(`PUB ${subject} ${length}\r\n`);
    for (const bytes of [line, head, part, CRLF]) this.#transport.send(bytes);
  }

  /** Returns a new subject for answers. */
  newInbox(): string {
    return createInbox(this.#inboxes);
  }

  /**
   * Sends a request. Resolves to the answer.
   *
   * @throws {StreamError} Without one.
   */
  ask(subject: string, data: Uint8Array, headers?: MsgHdrs): Promise<Uint8Array> {
    this.#requests ??= new NatsRequests(this.client, this.newInbox(), ANSWER_MS);
    return this.#requests.ask(subject, data, headers);
  }

  /** Returns a promise that resolves when senders need not wait, or `null` if they need not now. */
  whenReady(): Promise<void> | null {
    return this.#transport.whenReady();
  }

  /** Addresses of other servers of the same NATS cluster, as far as this one knows them. */
  get neighbours(): string[] {
    return this.client.getServers().filter(({ gossiped }) => gossiped).map(({ listen }) => listen);
  }

  /** Ends the connection, after the server has taken everything, or a second. */
  async close(): Promise<void> {
    if (!this.client.isClosed()) {
      const flush = (late: AbortSignal) => abortable(this.client.flush(), late);
      await withDeadline(CLOSE_MS, flush).catch(() => {});
    }
    await this.client.close();
  }
}

/** Returns what the subjects for answers to a relay begin with. */
function inboxesOf(cluster: string, id: string): string {
  return `eb.${cluster}.inbox.${id}`;
}

/** Calls `work` with a signal that is aborted after `ms` milliseconds, or together with `signal`. */
async function withDeadline<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error("the server does not answer")), ms);
  try {
    return await work(signal ? AbortSignal.any([late.signal, signal]) : late.signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Returns what signs in with the JWT and the seed in a credentials file.
 *
 * @throws {TypeError} If the text is not one of such a file.
 */
export function toAuthenticator(credentials: string): Authenticator {
  try {
    const authenticator = credsAuthenticator(encoder.encode(credentials));
    authenticator("nonce"); // It reads the text only now.
    return authenticator;
  } catch (cause) {
    const expected = "the text of a NATS credentials file, with a JWT and a seed";
    throw new TypeError(`Invalid cluster.credentials: expected ${expected}`, { cause });
  }
}

/** Connects and logs in. */
async function logIn(
  { address, isSecure, certName, login }: NatsServer,
  { credentials, tls, name }: NatsSettings,
  id: string,
  signal: AbortSignal,
): Promise<NatsConnectionImpl> {
  const authenticator = credentials === undefined ? null : toAuthenticator(credentials);
  const options: NatsTransportOptions = {
    name: `ebsockets relay ${id} of ${name}`,
    servers: [formatAddress(address)],
    reconnect: false, // By itself, nats.js gives up one day.
    noEcho: true,
    pingInterval: PING_MS,
    maxPingOut: MAX_PINGS,
    timeout: ANSWER_MS,
    ...login,
    ...(authenticator && { authenticator }),
    security: isSecure ? { certName, options: tls } : null,
    signal,
  };
  useNatsTransport();
  try {
    return await NatsConnectionImpl.connect(options) as NatsConnectionImpl;
  } catch (error) {
    throw describeFailure(error as Error, login.token ?? login.user ?? credentials);
  }
}

/** Returns why a login has failed. */
function describeFailure(cause: Error, login: unknown): Error {
  if (cause instanceof errors.AuthorizationError) {
    const text = login === undefined
      ? "the server wants a login: a user and a password in the URL, or credentials"
      : "the server refuses the login in the URL or in the credentials";
    return new Error(`${text} (${printable(cause.message)})`, { cause });
  }
  if (cause instanceof errors.TimeoutError) {
    const text = `no answer within ${ANSWER_MS / 1000} s; is a NATS server running there?`;
    return new Error(text, { cause });
  }
  if (cause instanceof errors.ConnectionError) {
    return new Error("the server closed the connection", { cause });
  }
  if (!(cause instanceof errors.ProtocolError)) return cause;
  return new Error(`the server reports: ${printable(cause.message)}`, { cause });
}
