/**
 * A server on `ws` that passes each message on to all clients that are connected to the same path.
 * Arguments: the folder with the packages, the port, and `echo` if the sender gets its own messages
 * too. Runs on Node.
 */

import { createRequire } from "node:module";
import process from "node:process";

const [folder, port, echo] = process.argv.slice(2);
const { WebSocketServer } = createRequire(`${folder}/`)("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
const rooms = new Map();
server.on("connection", (sender, { url }) => {
  const room = rooms.get(url) ?? new Set();
  rooms.set(url, room.add(sender));
  sender.on("error", () => {});
  sender.on("close", () => room.delete(sender));
  sender.on("message", (data, isBinary) => {
    for (const client of room) {
      if (client !== sender || echo) client.send(data, { binary: isBinary });
    }
  });
});
