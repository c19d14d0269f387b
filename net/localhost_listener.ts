/**
 * Owns listening on `localhost`, which is two addresses, 127.0.0.1 and ::1: whoever connects by either
 * of them, or by the name, is to get there. Must not know who connects.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import { toAddress } from "./local_address.ts";

/** The name. */
export const LOCALHOST = "localhost";

/** Its two addresses. */
const IPV4 = "127.0.0.1";
const IPV6 = "::1";

/** How many ports are tried until one is free on both addresses, where the system chooses. */
const ATTEMPTS = 10;

/** What is needed of a listener; that of `Deno.listen()` has it. */
export type TcpListener = Pick<Deno.TcpListener, "addr" | "accept" | "close">;

/** Listens on one address. */
export type Bind = (hostname: string, port: number) => TcpListener;

/** Whether `hostname` is the name that stands for this machine everywhere. */
export function isLocalhost(hostname: string): boolean {
  return hostname.toLowerCase() === LOCALHOST;
}

/**
 * Listens on both addresses, with the same port, and is then at `localhost`. Where the machine has no
 * IPv6, or Deno permits only one of them, it listens on that one, and is there. It asks for no permission
 * but that for `localhost`.
 *
 * @throws {Deno.errors.AddrInUse} If the port is taken on one of them.
 * @throws {Deno.errors.NotCapable} Without permission for either of them, or for `localhost`.
 */
export function listenOnLocalhost(port: number, bind: Bind): TcpListener {
  for (let attempt = 1;; attempt++) {
    const first = bind(isPermitted([IPV4, port]) ? IPV4 : LOCALHOST, port);
    const [hostname, realPort] = otherThan(toAddress(first.addr));
    if (!isPermitted([hostname, realPort])) return first;
    try {
      return new LocalhostListener([first, bind(hostname, realPort)]);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) return first;
      first.close();
      if (port !== 0 || attempt === ATTEMPTS) throw error;
    }
  }
}

/** The other address of `localhost`, with the same port. */
export function otherThan([hostname, port]: Address): Address {
  return [hostname === IPV4 ? IPV6 : IPV4, port];
}

/** Whether Deno permits to listen there; it is not asked to. */
export function isPermitted(address: Address): boolean {
  const host = formatAddress(address);
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}

/** What became of waiting for a connection. */
type Outcome = { readonly conn: Deno.TcpConn } | { readonly error: unknown };

/**
 * Accepts from two listeners. Nothing races: a promise of the one on which nobody ever connects would
 * remember each connection of the other.
 */
class LocalhostListener implements TcpListener {
  readonly addr: Deno.NetAddr;
  readonly #listeners: readonly TcpListener[];
  /** Those that are waiting for a connection. */
  readonly #accepting = new Set<TcpListener>();
  /** What has come, at most one of each. */
  readonly #outcomes: Outcome[] = [];
  #isOpen = true;
  #news = Promise.withResolvers<void>();

  constructor(listeners: readonly [TcpListener, TcpListener]) {
    this.#listeners = listeners;
    this.addr = { ...listeners[0].addr, hostname: LOCALHOST };
  }

  async accept(): Promise<Deno.TcpConn> {
    for (;;) {
      if (!this.#isOpen) throw new Deno.errors.BadResource("The listener is closed");
      const outcome = this.#outcomes.shift();
      if (outcome && "error" in outcome) throw outcome.error;
      if (outcome) return outcome.conn;
      for (const listener of this.#listeners) {
        if (!this.#accepting.has(listener)) this.#acceptFrom(listener);
      }
      await this.#news.promise;
    }
  }

  async #acceptFrom(listener: TcpListener): Promise<void> {
    this.#accepting.add(listener);
    try {
      const conn = await listener.accept();
      if (this.#isOpen) this.#outcomes.push({ conn });
      else conn.close();
    } catch (error) {
      this.#outcomes.push({ error });
    }
    this.#accepting.delete(listener);
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Stops listening, and closes a connection that nobody has taken. */
  close(): void {
    this.#isOpen = false;
    for (const listener of this.#listeners) listener.close();
    for (const outcome of this.#outcomes) if ("conn" in outcome) outcome.conn.close();
    this.#tell();
  }
}
