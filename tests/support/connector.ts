/** Clients for benchmarks that a test runs. */

import type { Connector } from "../../cli/bench_load.ts";
import { EbsocketClient } from "../../client.ts";
import type { TestRelay } from "../../testing.ts";

/** Connects to a relay; `prepare` gets each client before that. */
export function connectorTo(
  { address }: Pick<TestRelay, "address">,
  prepare: (client: EbsocketClient) => void = () => {},
): Connector {
  return async (patterns, queue) => {
    const client = new EbsocketClient();
    prepare(client);
    await client.subscribe(patterns, queue === undefined ? {} : { queue });
    await client.connectTo(address);
    return client;
  };
}
