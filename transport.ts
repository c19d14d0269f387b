/**
 * Owns how a socket is made, both ways: listens and dials, over TCP, TLS and Unix sockets. Must not
 * know what is said over it, or who may connect.
 *
 * @module
 */

import type { Address } from "./address.ts";
import type { Duplex } from "./connection.ts";

/** A byte duplex that knows where its peer is. */
export interface Socket extends Duplex {
  /** Where the peer is. */
  readonly remoteAddr: Deno.Addr;
}

/** Where to dial to: an address, or the path of a Unix socket. */
export type Destination = Address | { readonly path: string };

/** What a client needs for TLS beyond what it trusts already. */
export interface TlsClientOptions {
  /** Certificates to trust, beside those that Deno trusts, as PEM text; each may hold several. */
  readonly caCerts?: string | readonly string[];
  /** The client's own certificate, with those that it depends on, as PEM text. */
  readonly cert?: string;
  /** The private key of `cert`, as PEM text. */
  readonly key?: string;
  /**
   * The name that the server's certificate must have.
   *
   * @default {the host name of the address}
   */
  readonly hostname?: string;
}

/** Options of {@link dial}. */
export interface DialOptions {
  /** Speaks TLS: with what Deno trusts, or with options. */
  readonly tls?: true | TlsClientOptions;
  /** Gives the attempt up when aborted. Has no effect once connected. */
  readonly signal?: AbortSignal;
}

/** Makes a connection, its TLS handshake included. */
export function dial(where: Destination, { tls, signal }: DialOptions = {}): Promise<Socket> {
  if (tls) throw new Error("Cannot dial with TLS yet");
  const abort = signal ? { signal } : {};
  if ("path" in where) return Deno.connect({ transport: "unix", path: where.path, ...abort });
  const [hostname, port] = where;
  return Deno.connect({ hostname, port, ...abort });
}
