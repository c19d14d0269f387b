/** JetStream in tests: what a relay does not ask of it itself. */

import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useNatsTransport } from "../../cluster/nats_transport.ts";
import type { TestNatsServer } from "./nats_server.ts";

/** How long an answer may take, in milliseconds. JetStream gives none before its servers have a leader. */
const ANSWER_MS = 2000;

/** The configuration of a server with JetStream, which keeps its files for its next start. */
export const JETSTREAM = 'jetstream { store_dir: "js" }\n';

/** Asks JetStream something. Returns its answer. */
export function askJetStream(
  server: TestNatsServer,
  what: string,
  request: object = {},
  // deno-lint-ignore no-explicit-any -- Each answer has members of its own.
): Promise<any> {
  return askNats(server, `$JS.API.${what}`, JSON.stringify(request));
}

/** Publishes a message. Returns the answer to it. */
export async function askNats(
  server: TestNatsServer,
  subject: string,
  data: string | Uint8Array,
  // deno-lint-ignore no-explicit-any -- As above.
): Promise<any> {
  useNatsTransport();
  const client = await NatsConnectionImpl.connect({ servers: `127.0.0.1:${server.port}` });
  try {
    const answer = await client.request(subject, data, { timeout: ANSWER_MS });
    return answer.json();
  } finally {
    await client.close();
  }
}

/** The settings of a stream that a relay of the cluster `relays` can use. */
export const STREAM = {
  name: "eb-relays",
  subjects: ["eb.relays.kept.*"],
  retention: "limits",
  storage: "file",
  discard: "old",
  num_replicas: 1,
};
