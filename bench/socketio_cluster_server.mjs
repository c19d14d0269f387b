/**
 * A server on `socket.io` that passes each message on to all clients but its sender, at this server
 * and, by its Redis adapter, at the others. Arguments: the folder with the packages, the port, and the
 * port of Redis. Runs on Node.
 */

import { createServer } from "node:http";
import { createRequire } from "node:module";
import process from "node:process";

const [folder, port, redisPort] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { Redis } = require("ioredis");

const publishing = new Redis(Number(redisPort), "127.0.0.1");
const http = createServer();
// No pings during a measurement, since the driver would have to answer them.
const server = new Server(http, {
  transports: ["websocket"],
  pingInterval: 2 ** 30,
  adapter: createAdapter(publishing, publishing.duplicate()),
});
server.on("connection", (socket) => {
  socket.on("message", (event) => socket.broadcast.emit("message", event));
});
http.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
