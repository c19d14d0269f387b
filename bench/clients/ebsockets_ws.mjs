/** Our client over WebSocket. Runs on Deno. */

import { EbsocketClient, EbsocketEvent } from "../../mod.ts";
import { clientOf } from "./ebsockets_client.mjs";

/** A client that is connected to a port of 127.0.0.1. */
export async function connect(port) {
  const client = new EbsocketClient();
  await client.connectTo(`ws://127.0.0.1:${port}`);
  return clientOf(client, EbsocketEvent);
}
