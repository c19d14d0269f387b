// A client that sends each line that you type, and shows incoming events.
//
//     deno run --allow-net=127.0.0.1:7982 examples/chat_client.ts
//
// Needs a server on that port: `deno task relay`, or `examples/relay_server.ts`.

import { EbsocketClient, getLocalIp } from "@ebsockets/relay";
import { TextLineStream } from "@std/streams/text-line-stream";

const ip = prompt(`ip (Enter for ${getLocalIp()}) >>>`) || getLocalIp();
const port = Number(prompt("port (Enter for 7982) >>>") || 7982);

const client = new EbsocketClient();
Deno.addSignalListener("SIGINT", () => client.drain());
console.log(`Connecting to ${ip}:${port}`);
await client.connectTo([ip, port]);

// Do not call prompt() from here on. It blocks the whole program, which then shows nothing and
// sends no keep-alive. The server would close the connection with `idle-timeout`.
async function sendLines(): Promise<void> {
  const lines = Deno.stdin.readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const content of lines) {
    if (content) client.send("message", { content });
  }
  await client.drain(); // Ctrl+D
}
if (client.connected) {
  console.log("Connected. What you type is sent; Ctrl+D ends.");
  sendLines();
}

for await (const event of client) {
  console.log(`New event received: ${event}`);
  // %o escapes control characters, which a peer could otherwise use to control the terminal.
  if (event.compareType("message")) console.log("%o", event.getAttribute("content"));
}

console.log(`Disconnected: ${(await client.closed).reason}`);
Deno.exit(); // Standard input may still be open.
