/**
 * A relay for tests that need options which the command lacks, such as short deadlines. It logs
 * like the command does with `--log json`.
 *
 * Arguments: the address to listen on and the options of the relay, each as JSON.
 *
 * @module
 */

import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";

const [hostname, port] = JSON.parse(Deno.args[0]!);
const options: RelayOptions = JSON.parse(Deno.args[1]!);

function log(type: string, members: Record<string, unknown>): void {
  console.log(JSON.stringify({ type, ...members }));
}

const relay = new Relay(new EbsocketServer([hostname, port]), {
  ...options,
  observer: {
    onJoin: ({ id }) => log("join", { client: id }),
    onLeave: ({ id }, { reason, detail }) => log("leave", { client: id, reason, detail }),
  },
});
log("listening", { hostname, port: relay.server.address[1] });
Deno.addSignalListener("SIGTERM", async () => {
  await relay.close();
  Deno.exit(0);
});
