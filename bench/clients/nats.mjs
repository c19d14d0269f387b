/** `@nats-io/transport-node`: an event's name is its subject. Runs on Node. */

import { createRequire } from "node:module";

/** A client that is connected to a port of 127.0.0.1. */
export async function connect(port, folder) {
  const nats = createRequire(`${folder}/`)("@nats-io/transport-node");
  const connection = await nats.connect({ servers: `127.0.0.1:${port}` });
  return {
    async subscribe(name, onEvent) {
      const callback = (error, message) => {
        if (error) throw error;
        onEvent(message.subject, message.json());
      };
      connection.subscribe(name, { callback });
      await connection.flush();
    },
    publish(name, attributes) {
      connection.publish(name, JSON.stringify(attributes));
    },
    flush: () => connection.flush(),
    async serve(name, toAnswer) {
      const callback = (error, message) => {
        if (error) throw error;
        message.respond(JSON.stringify(toAnswer(message.json())));
      };
      connection.subscribe(name, { callback });
      await connection.flush();
    },
    async request(name, attributes) {
      return (await connection.request(name, JSON.stringify(attributes))).json();
    },
  };
}
