/** Relays on a free port for tests, and clients that speak raw TCP. */

import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { Peer } from "./peer.ts";
import { until } from "./waiting.ts";

/** Returns a relay that listens on a free port of `hostname`. */
export function newRelay(options: RelayOptions = {}, hostname = "127.0.0.1"): Relay {
  return new Relay(new EbsocketServer([hostname, 0]), options);
}

/** Connects a peer, and waits until it is a client of `relay`; a `silent` one never reads. */
export async function join(relay: Relay, options: { silent?: boolean } = {}): Promise<Peer> {
  const lastId = () => relay.clients.at(-1)?.id ?? 0;
  const before = lastId();
  const peer = await Peer.connect(relay.server.address, options);
  await until(() => lastId() > before);
  return peer;
}
