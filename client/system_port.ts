/**
 * The port of a client to the sockets of the operating system: TCP, TLS and Unix sockets.
 *
 * @module
 */

import type { ClientPort } from "./port.ts";
import { checkClientOptions } from "../net/tls.ts";
import { addressOf, checkDestination, dial, openConnection } from "../net/transport.ts";

/** Connects by the sockets of the operating system, and by custom dialers. */
export const systemPort: ClientPort = {
  checkTls(tls) {
    checkClientOptions(tls);
  },
  check: checkDestination,
  addressOf,
  async connect(where, tls, signal) {
    return openConnection(await dial(where, { ...(tls !== undefined && { tls }), signal }));
  },
};
