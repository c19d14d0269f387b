/** `mqtt` with QoS 0: an event's name is its topic. Runs on Node. */

import { createRequire } from "node:module";

/** A client that is connected to a port of 127.0.0.1. */
export async function connect(port, folder) {
  const mqtt = createRequire(`${folder}/`)("mqtt");
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
  let sent;
  return {
    async subscribe(name, onEvent) {
      client.on("message", (topic, payload) => onEvent(topic, JSON.parse(payload.toString())));
      await client.subscribeAsync(name);
    },
    publish(name, attributes) {
      sent = client.publishAsync(name, JSON.stringify(attributes));
    },
    flush: () => sent,
  };
}
