/**
 * The exports of `client.js`: the client of `web.ts`, without raw events.
 *
 * @module
 */

import {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventRefusedError,
  EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
} from "../../web.ts";

export { defineEvents, EbsocketClient, EbsocketEvent } from "../../web.ts";

const errors = {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventRefusedError,
  EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
};

// Minified classes have other names, which would be the first word of each uncaught error.
for (const [name, value] of Object.entries(errors)) {
  Object.defineProperty(value, "name", { value: name });
}

export {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventRefusedError,
  EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
};
