/** A connected socket of `socket.io-client` as the programs use it. Runs on Node and in pages. */

/** The client that has a connected socket. */
export function clientOf(socket) {
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
