// A server that passes every message it receives on to all of its clients.
//
//     deno run --allow-net=127.0.0.1:7982 examples/relay_server.ts

import { EbsocketServer, EbsocketSystem } from "@ebsockets/relay";

// Listens on this machine's own address if Deno permits reading it, otherwise on 127.0.0.1. To
// accept other machines, run it with --allow-net --allow-sys=networkInterfaces.
const server = new EbsocketServer(7982);
const system = new EbsocketSystem(server);

// close() sends all queued events, informs the clients of the reason, and ends the loop below.
Deno.addSignalListener("SIGINT", () => system.close());

console.log(`Server hosting on ${server.address[0]}:${server.address[1]}`);

while (!system.ended) {
  const [newClients, newEvents, disconnectedClients] = await system.pump();

  for (const [connection, address] of newClients) {
    console.log(`New connection: ${connection} from ${address[0]}:${address[1]}`);
  }

  for (const event of newEvents) {
    console.log(`New event: ${event}`);
    if (event.compareType("message")) {
      const content = event.getAttribute("content");
      system.sendToClients("message", { content });
    }
  }

  for (const [, address, { reason }] of disconnectedClients) {
    console.log(`Client disconnected: ${address[0]}:${address[1]} (${reason})`);
  }
}
