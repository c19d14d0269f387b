/**
 * A server with the WebSockets of Deno that passes each message on to all clients that are connected
 * to the same path. Arguments: the port, and `echo` if the sender gets its own messages too. Runs on
 * Deno.
 */

const [port, echo] = Deno.args;
const rooms = new Map();

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} }, (request) => {
  const { pathname } = new URL(request.url);
  const room = rooms.get(pathname) ?? new Set();
  rooms.set(pathname, room);
  // No pings during a measurement, since the driver would have to answer them.
  const { socket: sender, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  sender.onopen = () => room.add(sender);
  sender.onclose = () => room.delete(sender);
  sender.onmessage = ({ data }) => {
    for (const client of room) {
      if ((client !== sender || echo) && client.readyState === WebSocket.OPEN) client.send(data);
    }
  };
  return response;
});
