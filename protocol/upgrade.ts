/**
 * Whether an HTTP request may become a WebSocket (RFC 6455, section 4.2.1).
 *
 * Extensions and subprotocols are not looked at, because the server chooses none. Clients other
 * than browsers then continue without one. A browser whose page has asked for a subprotocol fails
 * the connection, and says in its console that the server sent none (WHATWG WebSockets, section 3),
 * which is better than to confirm a protocol that the server does not speak.
 *
 * @module
 */

import { type HttpFault, httpFault, type HttpRequest, listOf } from "./http.ts";
import { quote } from "./printable.ts";
import { isKey } from "./websocket.ts";

/** The only version of the protocol that is in use. */
const WEBSOCKET_VERSION = "13";

/** The headers of a server that speaks WebSocket only (RFC 9110, section 15.5.22). */
const UPGRADE_HEADERS = {
  "Connection": "close, Upgrade",
  "Upgrade": "websocket",
  "Sec-WebSocket-Version": WEBSOCKET_VERSION,
};

/** A request that may become a WebSocket. */
export interface Upgrade {
  readonly kind: "upgrade";
  /** The value of `Sec-WebSocket-Key`, 16 bytes in base64. */
  readonly key: string;
}

/** Refuses a request for a path that has nothing but a WebSocket. */
export const UPGRADE_REQUIRED: HttpFault = httpFault(
  426,
  "Nothing but a WebSocket is at this path: expected Upgrade: websocket",
  UPGRADE_HEADERS,
);

/** Refuses a client that does not wait for the response. Its bytes would not be lines. */
export const EARLY_DATA: HttpFault = httpFault(
  400,
  "Bytes follow the request: a WebSocket must wait for the answer first",
);

/**
 * Returns whether a request asks for a WebSocket. One whose `Upgrade` was lost on its way does, too.
 */
export function asksForUpgrade({ headers }: HttpRequest): boolean {
  return listOf(headers.get("upgrade")).includes("websocket") || headers.has("sec-websocket-key");
}

/** Checks a request that asks for a WebSocket. */
export function checkUpgrade(request: HttpRequest): Upgrade | HttpFault {
  const { headers, method, isHttp10, rest } = request;
  if (method !== "GET" || isHttp10) {
    return httpFault(400, "A WebSocket needs a GET of HTTP/1.1, not a HEAD or HTTP/1.0");
  }
  if (
    !listOf(headers.get("upgrade")).includes("websocket") ||
    !listOf(headers.get("connection")).includes("upgrade")
  ) {
    return httpFault(
      426,
      "A WebSocket needs Upgrade: websocket and Connection: Upgrade. A proxy that passes neither " +
        "on must be told to, in nginx by proxy_http_version and proxy_set_header",
      UPGRADE_HEADERS,
    );
  }
  const version = headers.get("sec-websocket-version") ?? "";
  if (version !== WEBSOCKET_VERSION) {
    const message = `Invalid Sec-WebSocket-Version ${
      quote(version)
    }: expected ${WEBSOCKET_VERSION}`;
    return httpFault(426, message, UPGRADE_HEADERS);
  }
  const key = headers.get("sec-websocket-key") ?? "";
  if (!isKey(key)) {
    return httpFault(400, `Invalid Sec-WebSocket-Key ${quote(key)}: expected 16 bytes in base64`);
  }
  if (rest.length > 0) {
    return EARLY_DATA;
  }
  return { kind: "upgrade", key };
}
