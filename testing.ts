/**
 * Helpers for the tests of programs that use this package: a relay that closes at the end of the
 * test, clients that need neither sockets nor permissions, and an assertion on received events.
 *
 * @example A relay and two clients for one test
 * ```ts
 * import { expectEvents, testRelay } from "@ebsockets/relay/testing";
 *
 * await using relay = testRelay(); // within the function that you give to Deno.test()
 * const ada = await relay.connect();
 * const bob = await relay.connect();
 * ada.send("join", { name: "Ada" });
 * await expectEvents(bob, [["join", { name: "Ada" }]]);
 * ```
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import type { Address } from "./protocol/address.ts";
import { type ClientOptions, EbsocketClient } from "./client.ts";
import type { EventOptions } from "./schema/definitions.ts";
import type { EventOf, OpenEvents } from "./protocol/event.ts";
import { checkTimeout } from "./protocol/option_checks.ts";
import { after } from "./net/timers.ts";
import { MemoryListener } from "./net/memory.ts";
import { Relay, type RelayOptions } from "./relay.ts";
import { EbsocketServer } from "./server.ts";

export { MemoryListener };
export type { TestRelay };

/** A relay for one test. */
class TestRelay implements AsyncDisposable {
  /** Address of the relay: 127.0.0.1 and a free port. */
  readonly address: Address;
  #relay: Relay;
  readonly #options: RelayOptions;
  readonly #where: Address | MemoryListener;
  readonly #clients: AsyncDisposable[] = [];

  /** Takes over `relay`, which has these options. Clients connect to `where`, by default its address. */
  constructor(relay: Relay, options: RelayOptions, where?: MemoryListener) {
    this.#relay = relay;
    this.#options = options;
    this.address = relay.server.address;
    this.#where = where ?? this.address;
  }

  /** The relay itself: after {@link restart}, the new one. */
  get relay(): Relay {
    return this.#relay;
  }

  /** Connects a new client, which is closed together with the relay. */
  async connect<M extends object = OpenEvents, S extends object = M>(
    options?: ClientOptions & EventOptions<M, S>,
  ): Promise<EbsocketClient<M, S>> {
    const client = new EbsocketClient<M, S>(options);
    this.#clients.push(client);
    await client.connectTo(this.#where);
    return client;
  }

  /**
   * Closes the relay, and starts one with the same options at the same address. The clients stay:
   * those with the option `reconnect` connect again.
   *
   * @throws {Deno.errors.AddrInUse} If another program has taken the port meanwhile.
   */
  async restart(): Promise<void> {
    await this.#relay.close();
    this.#relay = new Relay(new EbsocketServer([...this.address]), this.#options);
    await this.#relay.ready;
  }

  /** Closes the clients, then the relay. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
    await this.relay.close();
  }

  /** Same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Starts a relay on a free port of 127.0.0.1. The relay and its clients close at the end of the
 * `await using` scope, so the sanitizers of `deno test` find no leaks.
 *
 * @param options The options of the relay.
 * @returns The relay, with methods to connect clients and to restart it.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.NotCapable} Without `--allow-net=127.0.0.1`.
 */
export function testRelay(options: RelayOptions = {}): TestRelay {
  return new TestRelay(new Relay(new EbsocketServer(["127.0.0.1", 0]), options), options);
}

/** Two clients. Each receives the events of the other. */
export interface ClientPair<M extends object = OpenEvents, S extends object = M>
  extends AsyncDisposable {
  /** The first client. */
  readonly one: EbsocketClient<M, S>;
  /** The second client. */
  readonly other: EbsocketClient<M, S>;
}

/**
 * Connects two clients. Each receives the events of the other, but not its own. A relay runs
 * between them, so all client features work. No socket is used and no permission is required.
 *
 * @typeParam M The event map of events received by both clients.
 * @typeParam S The event map of sent events. Same as `M` by default.
 *
 * @param options The options of both clients.
 * @returns The two clients.
 *
 * @example Test a function that takes a client
 * ```ts
 * import type { EbsocketClient } from "@ebsockets/relay";
 * import { clientPair, expectEvents } from "@ebsockets/relay/testing";
 *
 * async function shout(client: EbsocketClient, text: string): Promise<void> {
 *   await client.send("shout", { text: text.toUpperCase() });
 * }
 *
 * await using pair = await clientPair();
 * await shout(pair.one, "hello");
 * await expectEvents(pair.other, [["shout", { text: "HELLO" }]]);
 * ```
 */
export async function clientPair<M extends object = OpenEvents, S extends object = M>(
  options?: ClientOptions & EventOptions<M, S>,
): Promise<ClientPair<M, S>> {
  const listener = new MemoryListener();
  const limits = options?.maxLineBytes === undefined ? {} : { maxLineBytes: options.maxLineBytes };
  const relayOptions = { echo: false, ...limits };
  const relay = new Relay(new EbsocketServer({ listener }), relayOptions);
  const both = new TestRelay(relay, relayOptions, listener);
  const one = await both.connect<M, S>(options);
  const other = await both.connect<M, S>(options);
  return { one, other, [Symbol.asyncDispose]: () => both.close() };
}

/** An expected event: a name, which matches any attributes; a name with attributes; or an event. */
export type ExpectedEvent =
  | string
  | readonly [event: string, attributes: object]
  | { readonly event: string; readonly __dict__: object };

/** Options of {@link expectEvents}. */
export interface ExpectOptions {
  /**
   * Longest time to wait for the events, in milliseconds, or `Infinity`.
   *
   * @default {2_000}
   */
  readonly timeout?: number;
}

/**
 * Waits for as many events as expected and compares them in order. With an empty `expected`,
 * asserts that no event has arrived yet.
 *
 * A mismatch throws an `AssertionError` with a diff of the received and the expected events. So
 * does a timeout, or a connection that ends early.
 *
 * @typeParam M The event map of events that the client receives.
 * @typeParam S The event map of events that it sends. Same as `M` by default.
 *
 * @param client The client to read from.
 * @param expected The expected events, in order.
 * @returns The received events.
 * @throws {AssertionError} If the events differ or too few arrive.
 * @throws {TypeError} If `expected` is not an array.
 * @throws {RangeError} If the timeout is `NaN`.
 *
 * @example Names alone, names with attributes, nothing
 * ```ts
 * import { clientPair, expectEvents } from "@ebsockets/relay/testing";
 *
 * await using pair = await clientPair();
 * await expectEvents(pair.other, []);
 * pair.one.send("tick", { at: Date.now() });
 * pair.one.send("message", { content: "hi" });
 * await expectEvents(pair.other, ["tick", ["message", { content: "hi" }]]);
 * ```
 */
export async function expectEvents<M extends object = OpenEvents, S extends object = M>(
  client: EbsocketClient<M, S>,
  expected: readonly ExpectedEvent[],
  { timeout = 2_000 }: ExpectOptions = {},
): Promise<EventOf<M>[]> {
  if (!Array.isArray(expected)) {
    throw new TypeError(
      `Invalid expected events: expected an array, got ${Deno.inspect(expected)}`,
    );
  }
  const deadline = new AbortController();
  const timer = after(checkTimeout(timeout), () => deadline.abort());
  const received: EventOf<M>[] = [];
  let fault = "";
  try {
    if (expected.length === 0) received.push(...(await client.pump())[0]);
    while (received.length < expected.length) {
      const event = await client.recvEvent({ signal: deadline.signal });
      if (!event) {
        fault = `The connection has ended with ${(await client.closed).reason}`;
        break;
      }
      received.push(event);
    }
  } catch (error) {
    if (!deadline.signal.aborted) throw error;
    fault = `No more has come within ${timeout} ms`;
    if (client.hearsNothing) fault += "; the client hears nothing until it subscribes";
  } finally {
    clearTimeout(timer);
  }
  const wanted = expected.map((one) => wantedOf(one));
  assertEquals(
    received.map((event, i) => shown(event, wanted[i])),
    wanted.map((one) => ({ ...one })),
    fault || undefined,
  );
  return received;
}

interface Shown {
  event: string;
  __dict__?: unknown;
}

function wantedOf(expected: ExpectedEvent): Shown {
  if (typeof expected === "string") return { event: expected };
  const [event, attributes] = "event" in expected ? [expected.event, expected.__dict__] : expected;
  return { event, __dict__: withoutUndefined({ ...attributes }) };
}

/** Returns `value` as a recipient gets it: encoding omits undefined members. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (Object.getPrototypeOf(value ?? 0) !== Object.prototype) return value;
  const members = Object.entries(value as object).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([key, member]) => [key, withoutUndefined(member)]));
}

/** Returns the comparable part of an event, without attributes if only the name is expected. */
function shown({ event, __dict__ }: { event: string; __dict__: object }, wanted?: Shown): Shown {
  return wanted && !("__dict__" in wanted) ? { event } : { event, __dict__: { ...__dict__ } };
}
