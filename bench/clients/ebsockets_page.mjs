/** Our client, as the relay gives it to pages. Runs in a page of that relay. */

import { clientOf } from "./ebsockets_client.mjs";

/** A client that is connected to the relay of the page. */
export async function connect() {
  const { EbsocketClient, EbsocketEvent } = await import("/client.js");
  const client = new EbsocketClient();
  await client.connectTo(`ws://${location.host}/ws`);
  return clientOf(client, EbsocketEvent);
}
