/**
 * The exports of `client.js`: the client of `web.ts`, without raw events.
 *
 * @module
 */

import * as client from "./entry.ts";

export {
  ConnectError,
  ConnectionClosedError,
  defineEvents,
  EbsocketClient,
  EbsocketError,
  EbsocketEvent,
  EventFormatError,
  EventRefusedError,
  EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
} from "../../web.ts";

// Minified, a class has another name, which would be the first word of each uncaught error.
for (const [name, value] of Object.entries(client)) {
  if (name.endsWith("Error")) Object.defineProperty(value, "name", { value: name });
}
