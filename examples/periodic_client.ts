// A client that sends a tick every second, or at the interval in milliseconds given as an argument.
//
//     deno run --allow-net=127.0.0.1:7982 examples/periodic_client.ts
//
// Needs a server on that port: `ebsockets`, or `deno task relay` in a clone.

import { EbsocketClient } from "@ebsockets/relay";

const interval = Number(Deno.args[0] ?? 1000);
if (!(interval > 0)) throw new RangeError(`Cannot send a tick every ${Deno.args[0]} milliseconds`);

const client = new EbsocketClient();

// drain() delivers the received events, ends the loop below, sends all queued events, and closes
// the connection.
Deno.addSignalListener("SIGINT", () => client.drain());

await client.connectTo(["127.0.0.1", 7982]);

let count = 0;
const timer = setInterval(() => {
  client.send("tick", { count: ++count, time: new Date().toISOString() });
}, interval);

for await (const event of client) console.log(event, event.__dict__);
clearInterval(timer);

const { reason, unsentLines } = await client.closed;
console.log(`Closed: ${reason}; ${count} ticks, ${unsentLines} of them unsent`);
