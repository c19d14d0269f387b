/**
 * A server on Bun that passes each message on to all clients that are connected to the same path.
 * Arguments: the port, and `echo` if the sender gets its own messages too. Runs on Bun.
 */

import process from "node:process";

const [port, echo] = process.argv.slice(2);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  fetch(request, server) {
    const data = { path: new URL(request.url).pathname };
    if (!server.upgrade(request, { data })) return new Response(null, { status: 426 });
  },
  websocket: {
    open(client) {
      client.subscribe(client.data.path);
    },
    message(sender, message) {
      (echo ? server : sender).publish(sender.data.path, message);
    },
    // So that no message is dropped, however far behind a client is.
    backpressureLimit: 2 ** 30,
  },
});
