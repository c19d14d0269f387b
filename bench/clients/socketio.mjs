/** `socket.io-client` over WebSocket; an answer is an acknowledgement. Runs on Node. */

import { createRequire } from "node:module";

/** A client that is connected to a port of 127.0.0.1. */
export async function connect(port, folder) {
  const { io } = createRequire(`${folder}/`)("socket.io-client");
  const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
  await new Promise((resolve) => socket.on("connect", resolve));
  return {
    subscribe(name, onEvent) {
      socket.on(name, (attributes) => onEvent(name, attributes));
    },
    publish(name, attributes) {
      socket.emit(name, attributes);
    },
    // It has none: what is in flight is bounded by whoever asks for the next batch.
    flush: () => Promise.resolve(),
    async serve(_, toAnswer) {
      socket.on("request", (attributes, answer) => answer(toAnswer(attributes)));
      await socket.emitWithAck("serve");
    },
    request: (_, attributes) => socket.emitWithAck("request", attributes),
  };
}
