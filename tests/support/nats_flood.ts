/** A worker that sends messages as fast as it can. Its name is the URL of the NATS server. */

import { NatsBackplane } from "../../cluster/nats_backplane.ts";

const backplane = new NatsBackplane({ servers: self.name });
await backplane.join("rflood", {
  onMessage() {},
  onConnect() {},
  onDisconnect() {},
  onFault() {},
});
backplane.announce(new TextEncoder().encode("flood"));
setInterval(() => {
  for (let i = 0; i < 50; i++) backplane.announce(new Uint8Array(100_000));
}, 1);
