// A client with the names and attributes of its events checked at compile time.
//
//     deno run --allow-net=127.0.0.1:7982 examples/typed_client.ts
//
// Needs a server on that port: `ebsockets`, or `deno task relay` in a clone.

import { EbsocketClient } from "@ebsockets/relay";

// The compiler checks the events that this client sends. It cannot check received ones, so this
// client trusts its peers to send these types.
type Weather = {
  hello: { station: string };
  reading: { station: string; celsius: number };
};

const client = new EbsocketClient<Weather>();
Deno.addSignalListener("SIGINT", () => client.drain());
await client.connectTo(["127.0.0.1", 7982]);

client.send("hello", { station: "Oslo" });
client.send("reading", { station: "Oslo", celsius: -4.5 });

for await (const event of client) {
  if (event.compareType("hello")) {
    console.log("%o is on the air", event.__dict__.station);
  } else if (event.compareType("reading")) {
    const { station, celsius } = event.__dict__;
    console.log("%o: %f °C, %f °F", station, celsius, celsius * 9 / 5 + 32);
  }
}

const { reason } = await client.closed;
console.log(`Closed: ${reason}`);
