/** `socket.io-client` over WebSocket; an answer is an acknowledgement. Runs on Node. */

import { createRequire } from "node:module";
import { clientOf } from "./socketio_client.mjs";

/** A client that is connected to a port of 127.0.0.1. */
export async function connect(port, folder) {
  const { io } = createRequire(`${folder}/`)("socket.io-client");
  const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
  await new Promise((resolve) => socket.on("connect", resolve));
  return clientOf(socket);
}
