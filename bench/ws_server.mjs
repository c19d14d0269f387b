/**
 * A server on `ws` that passes each message on. Arguments: the folder with the packages, the port,
 * and `echo` if the sender gets its own messages too. Runs on Node.
 */

import { createRequire } from "node:module";
import process from "node:process";

const [folder, port, echo] = process.argv.slice(2);
const { WebSocketServer } = createRequire(`${folder}/`)("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
server.on("connection", (sender) => {
  sender.on("error", () => {});
  sender.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client !== sender || echo) client.send(data, { binary: isBinary });
    }
  });
});
