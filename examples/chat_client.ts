// A client that sends what is typed, and after each line shows what has arrived meanwhile.
//
//     deno run --allow-net=127.0.0.1:7982 examples/chat_client.ts
//
// It needs a server on that port: `ebsockets`, `deno task relay` in a clone, or `examples/relay_server.ts`.

import { EbsocketClient, getLocalIp } from "@ebsockets/relay";

const ip = prompt(`ip (Enter for ${getLocalIp()}) >>>`) || getLocalIp();
const port = Number(prompt("port (Enter for 7982) >>>") || 7982);

const client = new EbsocketClient();
console.log(`Connecting to ${ip}:${port}`);
await client.connectTo([ip, port]);

for (;;) {
  const content = prompt("send event >>>");
  if (content === null) break;
  if (content) client.send("message", { content });

  // prompt() blocks the whole program; pump() catches up on what came in that time.
  const [events, connected] = await client.pump();
  for (const event of events) {
    console.log(`New event received: ${event}`);
    // %o escapes control characters, with which a peer could otherwise steer the terminal.
    if (event.compareType("message")) console.log("%o", event.getAttribute("content"));
  }
  if (!connected) break;
}

await client.close();
console.log(`Disconnected: ${(await client.closed).reason}`);
