/**
 * A listener on `localhost`, which stands for two addresses, 127.0.0.1 and ::1. Clients can connect
 * by either address or by the name.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import { AcceptQueue } from "./accept_queue.ts";
import { toAddress } from "./platform.ts";

/** The host name. */
export const LOCALHOST = "localhost";

/** Its two addresses. */
const IPV4 = "127.0.0.1";
const IPV6 = "::1";

/**
 * Number of attempts to find a port that is free on both addresses, if the system chooses the port.
 */
const ATTEMPTS = 10;

/** The part of a listener that is needed here. The listener of `Deno.listen()` implements it. */
export type TcpListener = Pick<Deno.TcpListener, "addr" | "accept" | "close">;

/** Listens on one address. */
export type Bind = (hostname: string, port: number) => TcpListener;

/** Returns whether `hostname` is the name that every machine has for itself. */
export function isLocalhost(hostname: string): boolean {
  return hostname.toLowerCase() === LOCALHOST;
}

/**
 * Listens on both addresses with the same port. The address of the listener is then `localhost`. If
 * the machine has no IPv6, or Deno permits only one address, it listens on that address alone. It
 * requests no permission except the one for `localhost`.
 *
 * @param port The port, or 0 to let the system choose.
 * @param bind Listens on one address.
 * @throws {Deno.errors.AddrInUse} If the port is taken on one of the addresses.
 * @throws {Deno.errors.NotCapable} Without permission for either address or for `localhost`.
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

/** Returns the other address of `localhost`, with the same port. */
export function otherThan([hostname, port]: Address): Address {
  return [hostname === IPV4 ? IPV6 : IPV4, port];
}

/** Returns whether Deno permits listening on an address. Never prompts. */
export function isPermitted(address: Address): boolean {
  const host = formatAddress(address);
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}

/**
 * Accepts from two listeners. It does not use `Promise.race`. The pending promise of an unused
 * listener would collect a reaction for each connection of the other.
 */
class LocalhostListener implements TcpListener {
  readonly addr: Deno.NetAddr;
  readonly #listeners: readonly TcpListener[];
  /** Listeners with a pending accept. */
  readonly #accepting = new Set<TcpListener>();
  readonly #queue = new AcceptQueue<Deno.TcpConn>();

  constructor(listeners: readonly [TcpListener, TcpListener]) {
    this.#listeners = listeners;
    this.addr = { ...listeners[0].addr, hostname: LOCALHOST };
  }

  accept(): Promise<Deno.TcpConn> {
    return this.#queue.next(() => {
      for (const listener of this.#listeners) {
        if (!this.#accepting.has(listener)) this.#acceptFrom(listener);
      }
    });
  }

  async #acceptFrom(listener: TcpListener): Promise<void> {
    this.#accepting.add(listener);
    try {
      this.#queue.add(await listener.accept());
    } catch (error) {
      this.#queue.fail(error);
    }
    this.#accepting.delete(listener);
  }

  /** Stops listening and closes connections that have not been taken. */
  close(): void {
    for (const listener of this.#listeners) listener.close();
    this.#queue.close();
  }
}
