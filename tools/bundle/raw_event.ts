/**
 * Takes the place of `protocol/raw_event.ts` in `client.js`, which has no raw events.
 *
 * @module
 */

/** An event that no program has. */
export class RawEvent {}

/** Refuses the option `raw` of a client. */
export class RawDecoder {
  constructor() {
    throw new TypeError("Invalid raw: client.js has no raw events; import @ebsockets/relay/web");
  }
}

export function detachLines(): void {}

export function sealLine(): void {}
