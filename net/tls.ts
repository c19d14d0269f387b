/**
 * TLS handshakes over TCP connections, for servers and clients: trust, deadline, and error
 * messages.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import type { TLSSocket } from "node:tls";
import type { Socket } from "./connection.ts";
import { EbsocketError } from "../errors.ts";
import { checkGiven } from "../protocol/option_checks.ts";
import { quote } from "../protocol/printable.ts";
import type { TlsClientOptions } from "./tls_options.ts";
import { nodeModule, RawStream, TlsSocket } from "./tls_socket.ts";
import { afterRunning } from "./ticker.ts";

/** TLS settings of a server. All values are PEM text. */
export interface TlsServerOptions {
  /** The server's certificate, followed by its intermediate certificates. */
  readonly cert: string;
  /** The private key of `cert`, unencrypted. */
  readonly key: string;
  /**
   * Certificate authorities for client certificates. With this option, a client without a valid
   * certificate from one of them is rejected before any of its bytes is processed and before any
   * byte is sent to it. A client certificate that limits its usage must allow `clientAuth`.
   */
  readonly clientCa?: string;
}

/** Longest time that a handshake may take, in milliseconds. */
const HANDSHAKE_TIMEOUT = 5000;

/** Longest timer of Node's server, whose own deadline would not close the connection. */
const NEVER = 2 ** 31 - 1;

/** Secures accepted TCP connections. */
export class TlsServer {
  readonly #context: Record<string, unknown>;
  readonly #asksForCert: boolean;

  /** @throws {TypeError} If an option is invalid. The message names the option. */
  constructor(options: TlsServerOptions) {
    if (typeof options !== "object" || options === null) {
      throw new TypeError(`Invalid tls: expected options, got ${Deno.inspect(options)}`);
    }
    checkGiven(options, ["cert", "key", "clientCa"], "tls.");
    const { cert, key, clientCa } = options;
    const own = checkKeyPair(cert, key);
    if (!own) throw new TypeError("Invalid tls: cert and key are missing");
    this.#asksForCert = clientCa !== undefined;
    this.#context = {
      ...own,
      ...(clientCa !== undefined && { ca: checkCertificates("tls.clientCa", clientCa) }),
      requestCert: this.#asksForCert,
      rejectUnauthorized: this.#asksForCert,
      minVersion: "TLSv1.2",
      allowHalfOpen: true,
      handshakeTimeout: NEVER,
    };
  }

  /**
   * Performs the handshake over `conn`. Closes `conn` if the handshake fails.
   *
   * @throws {EbsocketError} If the peer does not speak TLS, is too slow, or is not authorized.
   */
  secure(conn: Deno.TcpConn, signal: AbortSignal): Promise<Socket> {
    return handshake(conn, signal, "server", (raw, done, failed) => {
      const { createServer } = nodeModule<typeof import("node:tls")>("node:tls");
      const ALPNCallback = ({ protocols }: { protocols: string[] }): string | undefined => {
        const protocol = chooseProtocol(protocols);
        if (protocol === undefined) failed(unknownProtocols(protocols));
        return protocol;
      };
      const server = createServer(
        { ...this.#context, ALPNCallback } as Parameters<typeof createServer>[0],
      );
      server.on("secureConnection", (tls) => {
        // A second check: this event does not fire for rejected clients.
        if (this.#asksForCert && !isVerified(tls)) return failed(new Error("not authorized"));
        done(new TlsSocket(tls, raw, conn.remoteAddr));
      });
      server.on("tlsClientError", (error, tls) => failed(describeClientError(error, tls)));
      server.emit("connection", raw.stream);
    });
  }
}

/** The version of HTTP that a server speaks (RFC 7301, section 6). */
const HTTP = "http/1.1";

/** Other versions, which a server does not speak. */
const OTHER_HTTP = /^(?:h\d|http\/|spdy\/)/;

/**
 * Chooses one of the protocols that a client offers (ALPN, RFC 7301). Lines have no registered
 * name, so any that a client has for them is right.
 */
function chooseProtocol(offered: readonly string[]): string | undefined {
  if (offered.includes(HTTP)) return HTTP;
  return offered.find((name) => !OTHER_HTTP.test(name));
}

function unknownProtocols(offered: readonly string[]): Error {
  const names = offered.map((name) => quote(name)).join(", ");
  return new Error(`the client speaks nothing but ${names}: expected ${HTTP}, or lines`);
}

/**
 * Performs the client's handshake over `conn`. Closes `conn` if the handshake fails.
 *
 * @throws {EbsocketError} If the server does not speak TLS or cannot prove its identity.
 */
export function secureClient(
  conn: Deno.TcpConn,
  hostname: string,
  options: CheckedClientOptions,
  signal?: AbortSignal,
): Promise<Socket> {
  const name = options.hostname ?? hostname;
  return handshake(conn, signal, "client", (raw, done, failed) => {
    const { connect } = nodeModule<typeof import("node:tls")>("node:tls");
    const tls = connect({
      socket: raw.stream,
      host: name,
      ...(!isIp(name) && { servername: name }),
      ...options.context,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
    });
    tls.on("secureConnect", () => {
      if (!isVerified(tls)) return failed(new Error("the server is not authorized"));
      done(new TlsSocket(tls, raw, conn.remoteAddr, earlyEnd(options)));
    });
    tls.on("error", (error) => failed(describeServerError(error, name, options.names)));
  });
}

/** The names of a client's options, for errors. */
export interface TlsOptionNames {
  readonly caCerts: string;
  readonly cert: string;
  readonly key: string;
  /** Unset if there is no such option. */
  readonly hostname?: string;
}

const TLS_NAMES: TlsOptionNames = {
  caCerts: "tls.caCerts",
  cert: "tls.cert",
  key: "tls.key",
  hostname: "tls.hostname",
};

/** Checked options of a client, in the form that Node expects. */
export interface CheckedClientOptions {
  readonly names: TlsOptionNames;
  /** The name that the server's certificate must contain, if it differs from the address. */
  readonly hostname?: string;
  /** The options for Node. */
  readonly context: { readonly ca?: string[]; readonly cert?: string; readonly key?: string };
}

/**
 * Checks the options of a client.
 *
 * @throws {TypeError} If an option is invalid. The message names the option.
 */
export function checkClientOptions(
  options: true | TlsClientOptions,
  names = TLS_NAMES,
): CheckedClientOptions {
  if (options === true) return { names, context: {} };
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Invalid tls: expected true or options, got ${Deno.inspect(options)}`);
  }
  checkGiven(options, ["caCerts", "cert", "key", "hostname"], "tls.");
  const { caCerts, cert, key, hostname } = options;
  if (hostname !== undefined && (typeof hostname !== "string" || hostname === "")) {
    throw new TypeError(`Invalid tls.hostname: expected a name, got ${Deno.inspect(hostname)}`);
  }
  const context = {
    ...checkKeyPair(cert, key, names),
    ...(caCerts !== undefined && { ca: checkCertificates(names.caCerts, caCerts) }),
  };
  return { names, context, ...(hostname !== undefined && { hostname }) };
}

/**
 * Waits for the handshake begun by `start`. A server begins once the client has sent its first
 * bytes, because until then a connection costs almost nothing. Closes the connection if the
 * handshake fails or is aborted.
 */
async function handshake(
  conn: Deno.TcpConn,
  signal: AbortSignal | undefined,
  side: "client" | "server",
  start: (
    raw: RawStream,
    done: (socket: Socket) => void,
    failed: (error: Error) => void,
  ) => void,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const fail = (error: Error) => reject(tlsError(error));
  const endDeadline = afterRunning(HANDSHAKE_TIMEOUT, () => {
    fail(new Error(`it took longer than ${HANDSHAKE_TIMEOUT} ms`));
  });
  let isOver = false;
  let close = () => conn.close();
  const begin = (head: Uint8Array | null) => {
    if (isOver) return;
    const raw = new RawStream(conn, head, (error) => fail(error ?? new Error(BROKEN_OFF)));
    close = () => raw.close();
    start(raw, resolve, fail);
  };
  try {
    signal?.throwIfAborted();
    if (side === "client") begin(null);
    else firstBytes(conn).then(begin).catch(fail);
    return await (signal ? abortable(promise, signal) : promise);
  } catch (error) {
    close();
    throw error;
  } finally {
    isOver = true;
    endDeadline();
  }
}

const BROKEN_OFF = "the peer closed the connection in the middle of it";

/** Cause of a failed handshake with a peer that disconnected without sending a byte. */
export class SilentPeer extends Error {}

/** Type of the TLS record that begins every handshake. */
const HANDSHAKE_RECORD = 22;

/** Resolves to the first bytes of a client, which must begin a handshake. */
async function firstBytes(conn: Deno.TcpConn): Promise<Uint8Array> {
  const buffer = new Uint8Array(2048);
  const length = await conn.read(buffer).catch((error) => {
    throw new SilentPeer(error.message);
  });
  if (length === null) throw new SilentPeer(BROKEN_OFF);
  if (buffer[0] !== HANDSHAKE_RECORD) throw new Error("the client does not speak TLS");
  return buffer.subarray(0, length);
}

function tlsError(cause: Error): EbsocketError {
  return new EbsocketError("tls-failed", `TLS handshake failed: ${cause.message}`, { cause });
}

/** Whether Node's TLS has verified the peer and holds its certificate. */
function isVerified(tls: TLSSocket): boolean {
  return tls.authorized && tls.getPeerCertificate().raw !== undefined;
}

/** Returns whether a host name is an IP address, which TLS does not send as a server name. */
export function isIp(name: string): boolean {
  return name.includes(":") || /^[0-9.]+$/.test(name);
}

/**
 * Certificate errors by Node's error code. Deno reports the last code for all errors that its TLS
 * library describes in its own words, and does not pass those words on.
 */
const CERTIFICATE_FAULTS = new Map([
  ["CERT_HAS_EXPIRED", "has expired"],
  ["CERT_NOT_YET_VALID", "is not valid yet"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "is not signed by a trusted authority"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "is not signed by a trusted authority"],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "is not signed by a trusted authority"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "is not signed by a trusted authority, or has expired"],
]);

function describeClientError(error: Error, tls: TLSSocket): Error {
  const code = codeOf(error);
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") {
    return new Error("the client has no certificate", { cause: error });
  }
  const fault = tls.authorizationError && String(tls.authorizationError);
  if (!fault) return error;
  const isAny = fault === "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
  const text = (CERTIFICATE_FAULTS.get(fault) ?? `is not accepted: ${fault}`) +
    (isAny ? ", or not one for clients" : "");
  return new Error(`the certificate of the client ${text}`, { cause: error });
}

function describeServerError(error: Error, name: string, names: TlsOptionNames): Error {
  const code = codeOf(error);
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    return new Error("the server does not speak TLS; connect without tls", { cause: error });
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const option = names.hostname ? `, or give that name in ${names.hostname}` : "";
    const advice = `connect by a name that it has${option}`;
    const text = `the certificate of the server is not for ${name}; ${advice}`;
    return new Error(text, { cause: error });
  }
  const fault = CERTIFICATE_FAULTS.get(code);
  if (!fault) return error;
  const isUntrusted = fault.includes("trusted");
  const advice = isUntrusted ? `; if its CA is your own, give it in ${names.caCerts}` : "";
  return new Error(`the certificate of the server ${fault}${advice}`, { cause: error });
}

/**
 * In TLS 1.3, a server can reject a client only after the handshake has ended on the client's side.
 */
function earlyEnd({ names, context: { cert } }: CheckedClientOptions): string {
  const advice = cert === undefined
    ? `want a client certificate, in ${names.cert} and ${names.key}`
    : `not accept the client certificate in ${names.cert}`;
  return `The server ended the connection after the TLS handshake; it may ${advice}`;
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : "";
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Returns the certificates in `pem`, one string each.
 *
 * @throws {TypeError} If there are none or one is invalid. The message names the option.
 */
function checkCertificates(option: string, pem: string | readonly string[]): string[] {
  const { X509Certificate } = nodeModule<typeof import("node:crypto")>("node:crypto");
  const found: string[] = [];
  const texts = Array.isArray(pem) ? pem as readonly string[] : [pem];
  for (const text of texts) {
    const certificates = typeof text === "string" ? text.match(CERTIFICATE) : null;
    if (!certificates) throw new TypeError(`Invalid ${option}: expected certificates in PEM text`);
    found.push(...certificates);
  }
  if (found.length === 0) {
    throw new TypeError(`Invalid ${option}: expected a certificate, got none`);
  }
  for (const certificate of found) {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw new TypeError(`Invalid ${option}: a certificate cannot be read`, { cause });
    }
  }
  return found;
}

/**
 * Returns a certificate and its key, or `null` if both are missing.
 *
 * @throws {TypeError} If only one is given, or if they do not belong together.
 */
function checkKeyPair(
  cert?: string,
  key?: string,
  names = TLS_NAMES,
): { cert: string; key: string } | null {
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined) throw new TypeError(`Invalid ${names.key}: ${names.cert} is missing`);
  if (key === undefined) throw new TypeError(`Invalid ${names.cert}: ${names.key} is missing`);
  const [leaf] = checkCertificates(names.cert, cert);
  if (typeof key !== "string" || !/-----BEGIN (\w+ )?PRIVATE KEY-----/.test(key)) {
    throw new TypeError(`Invalid ${names.key}: expected a private key in PEM text, not encrypted`);
  }
  const { createPrivateKey, X509Certificate } = nodeModule<typeof import("node:crypto")>(
    "node:crypto",
  );
  let belongs: boolean;
  try {
    belongs = new X509Certificate(leaf!).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new TypeError(`Invalid ${names.key}: the private key cannot be read`, { cause });
  }
  if (!belongs) throw new TypeError(`Invalid ${names.key}: it is not the key of ${names.cert}`);
  return { cert, key };
}
