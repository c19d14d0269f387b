/**
 * A server on `socket.io` that passes each message on, to all or to a room, and each request to the
 * client that came last to serve, whose acknowledgement it passes back. A client is in the room that
 * its query names. Arguments: the folder with the packages, the port, and `echo` if the sender gets
 * its own messages too. Runs on Node.
 */

import { createServer } from "node:http";
import { createRequire } from "node:module";
import process from "node:process";

const [folder, port, echo] = process.argv.slice(2);
const { Server } = createRequire(`${folder}/`)("socket.io");

const http = createServer();
// No pings during a measurement, since the driver would have to answer them.
const server = new Server(http, { transports: ["websocket"], pingInterval: 2 ** 30 });
let responder;
server.on("connection", (socket) => {
  const recipients = echo ? server : socket.broadcast;
  socket.on("message", (event) => recipients.emit("message", event));
  const { room } = socket.handshake.query;
  if (room) socket.join(room);
  socket.on("publish", (room, event) => socket.to(room).emit("message", event));
  socket.on("serve", (onServing) => {
    responder = socket;
    onServing();
  });
  socket.on("request", (attributes, answer) => responder.emit("request", attributes, answer));
});
http.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
