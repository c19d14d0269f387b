/**
 * The port of a client to the sockets of the operating system: TCP, TLS and Unix sockets, and
 * WebSocket.
 *
 * @module
 */

import type { ClientPort } from "./port.ts";
import { isUrl, webPort } from "./web_port.ts";
import { checkClientOptions } from "../net/tls.ts";
import { addressOf, checkDestination, dial, openConnection } from "../net/transport.ts";

/** Connects by the sockets of the operating system, by custom dialers, and by WebSocket. */
export const systemPort: ClientPort = {
  checkTls(tls) {
    checkClientOptions(tls);
  },
  check(where, tls) {
    return isUrl(where) ? webPort.check(where, tls) : checkDestination(where, tls);
  },
  addressOf(where) {
    return isUrl(where) ? webPort.addressOf(where) : addressOf(where);
  },
  async connect(where, tls, signal) {
    if (isUrl(where)) return await webPort.connect(where, tls, signal);
    return openConnection(await dial(where, { ...(tls !== undefined && { tls }), signal }));
  },
};
