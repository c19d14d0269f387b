/**
 * The port of a client to servers that it reaches by WebSocket.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { ClientPort, Destination } from "./port.ts";
import { inspect } from "../protocol/printable.ts";
import { WebConnection } from "./web_connection.ts";

/** The likely causes of a failed attempt. A browser reports none. */
const CAUSES = "no WebSocket came about, and the reason is not known here; is a relay running " +
  "there, does it admit this page (--web, --web-origin, --web-host), and does a page that was " +
  "loaded by https: connect to wss:?";

/** Connects by WebSocket alone. */
export const webPort: ClientPort = {
  checkTls(tls) {
    throw new TypeError(`Invalid tls: a wss: URL needs no options, got ${inspect(tls)}`);
  },
  check(where, tls) {
    if (tls !== undefined) throw new TypeError("Invalid tls: it does not go with a URL; use wss:");
    return urlOf(where);
  },
  addressOf(where) {
    return addressOf(urlOf(where));
  },
  connect(where, _, signal) {
    return openWebSocket(urlOf(where), signal);
  },
};

/** Returns whether a destination is meant to be a URL. */
export function isUrl(where: Destination): where is string | URL {
  return typeof where === "string" || where instanceof URL;
}

function urlOf(where: Destination): URL {
  const url = isUrl(where) ? URL.parse(where) : null;
  if (url?.protocol === "ws:" || url?.protocol === "wss:") return url;
  throw new TypeError(`Invalid address: expected a ws: or wss: URL, got ${inspect(where)}`);
}

function addressOf({ hostname, port, protocol }: URL): Address {
  return [hostname.replace(/^\[|\]$/g, ""), Number(port) || (protocol === "wss:" ? 443 : 80)];
}

/** Resolves to a connection. Rejects if the WebSocket cannot be opened, or if `signal` is aborted. */
async function openWebSocket(url: URL, signal: AbortSignal): Promise<WebConnection> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = new WebSocket(url);
  const connection = new WebConnection(socket, addressOf(url));
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  socket.onopen = () => resolve();
  socket.onerror = (event) => reject(new Error((event as ErrorEvent).message || CAUSES));
  try {
    await promise;
  } catch (error) {
    connection.abort();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return connection;
}
