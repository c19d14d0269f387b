/**
 * The exports of `client.js`: the client of `web.ts`, without raw events.
 *
 * @module
 */

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
