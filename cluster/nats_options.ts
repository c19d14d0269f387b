/**
 * The checks of a cluster's options, and the NATS servers that they name.
 *
 * @module
 */

import { checkClientOptions, type CheckedClientOptions, isIp } from "../net/tls.ts";
import { type Address, formatAddress } from "../protocol/address.ts";
import { checkGiven } from "../protocol/option_checks.ts";
import { inspect } from "../protocol/printable.ts";
import type { ClusterOptions } from "./options.ts";

/** The port of a NATS server whose URL has none. */
const DEFAULT_PORT = 4222;

const NAME = /^[\w-]{1,64}$/;

const TLS_NAMES = { caCerts: "cluster.ca", cert: "cluster.cert", key: "cluster.key" };

/** How a relay logs in: with a user and a password, or with a token. */
export interface NatsLogin {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
}

/** A NATS server. */
export interface NatsServer {
  readonly address: Address;
  /** Whether the connection is encrypted. */
  readonly isSecure: boolean;
  /** The host name or IP address that its certificate must contain. */
  readonly certName: string;
  readonly login: NatsLogin;
}

/** The checked options of a cluster. */
export interface NatsSettings {
  readonly servers: readonly NatsServer[];
  /** The name of the cluster. */
  readonly name: string;
  /** The text of a credentials file. */
  readonly credentials?: string;
  /** For servers with encrypted connections. */
  readonly tls: CheckedClientOptions;
}

/**
 * Checks the options of a cluster.
 *
 * @throws {TypeError} If an option is invalid. The message names the option, and shows no password.
 */
export function checkClusterOptions(options: ClusterOptions): NatsSettings {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Invalid cluster: expected options, got ${inspect(options)}`);
  }
  checkGiven(options, ["servers", "name", "credentials", "ca", "cert", "key"], "cluster.");
  const { name = "relays", credentials } = options;
  if (typeof name !== "string" || !NAME.test(name)) {
    const expected = "1 to 64 letters, digits, - and _";
    throw new TypeError(`Invalid cluster.name: expected ${expected}, got ${inspect(name)}`);
  }
  const servers = checkServers(options.servers);
  return {
    servers,
    name,
    ...(credentials !== undefined && { credentials }),
    tls: checkTls(options, servers),
  };
}

function checkServers(given: string | readonly string[]): NatsServer[] {
  const urls: unknown = typeof given === "string" ? [given] : given;
  if (Array.isArray(urls) && urls.length > 0) return urls.map(checkServer);
  throw new TypeError(`Invalid cluster.servers: expected one URL or several, got ${inspect(urls)}`);
}

function checkServer(text: unknown): NatsServer {
  const url = typeof text === "string" ? URL.parse(text) : null;
  if (!url || !isNatsUrl(url)) {
    const expected = "a URL such as nats://10.0.0.1:4222 or tls://nats.example.com";
    const got = inspect(typeof text === "string" ? hideLogin(text) : text);
    const advice = typeof text === "string" ? adviceOn(text) : "";
    throw new TypeError(`Invalid cluster.servers: expected ${expected}, got ${got}${advice}`);
  }
  const address = addressOf(url);
  return {
    address,
    isSecure: url.protocol === "tls:",
    certName: address[0],
    login: loginOf(url),
  };
}

/** Returns what is probably wrong with the text of a URL. */
function adviceOn(text: string): string {
  if (text.includes("@")) {
    return '; write "/", "#", "?" and "," in a password as %2F, %23, %3F and %2C';
  }
  return /^[\w.-]+(:\d+)?$/.test(text) ? `; did you mean nats://${text}?` : "";
}

function isNatsUrl({ protocol, hostname, port, pathname, search, hash }: URL): boolean {
  const isScheme = protocol === "nats:" || protocol === "tls:";
  return isScheme && hostname !== "" && port !== "0" && /^\/?$/.test(pathname) &&
    search === "" && hash === "";
}

function addressOf({ hostname, port }: URL): Address {
  return [hostname.replace(/^\[|\]$/g, ""), port === "" ? DEFAULT_PORT : Number(port)];
}

/** Returns the login in a URL. A user without a password is a token, as in the clients of NATS. */
function loginOf({ username, password }: URL): NatsLogin {
  if (username === "") return {};
  try {
    const user = decodeURIComponent(username);
    return password === "" ? { token: user } : { user, pass: decodeURIComponent(password) };
  } catch {
    const advice = "write a % in them as %25";
    throw new TypeError(`Invalid cluster.servers: cannot decode user and password; ${advice}`);
  }
}

/** Returns the text of a URL without user and password. The URL may be malformed. */
function hideLogin(text: string): string {
  return text.replace(/^([a-z]+:\/\/)?.*@/is, "$1…@");
}

function checkTls(options: ClusterOptions, servers: readonly NatsServer[]): CheckedClientOptions {
  const { ca, cert, key } = options;
  const given = (["ca", "cert", "key"] as const).find((each) => options[each] !== undefined);
  if (given && !servers.some(({ isSecure }) => isSecure)) {
    throw new TypeError(`Invalid cluster.${given}: no server has a URL with tls://`);
  }
  return checkClientOptions({
    ...(ca !== undefined && { caCerts: ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }, TLS_NAMES);
}

/** Returns the URL of a server, without user and password. */
export function urlOf({ address, isSecure }: NatsServer): string {
  return `${isSecure ? "tls" : "nats"}://${formatAddress(address)}`;
}

/**
 * Returns a server of the same NATS cluster as another one.
 *
 * @param listen The address at which it listens, as the other server reports it.
 * @param known The other server.
 * @returns The server, or `null` if the address is invalid.
 */
export function neighbourOf(listen: string, known: NatsServer): NatsServer | null {
  const url = URL.parse(`nats://${listen}`);
  if (!url || !isNatsUrl(url)) return null;
  const address = addressOf(url);
  // Servers report IP addresses, and a certificate may have names alone.
  const hasOwnName = !isIp(address[0]) || isIp(known.certName);
  return { ...known, address, certName: hasOwnName ? address[0] : known.certName };
}
