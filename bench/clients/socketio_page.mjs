/** `socket.io-client`, as its server gives it to pages. Runs in a page of that server. */

import { clientOf } from "./socketio_client.mjs";

/** A client that is connected to the server of the page. */
export async function connect() {
  const { io } = await import("/socket.io/socket.io.esm.min.js");
  const socket = io({ transports: ["websocket"] });
  await new Promise((resolve) => socket.on("connect", resolve));
  return clientOf(socket);
}
