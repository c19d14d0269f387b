// A worker that connects to the address it is told, says so, sends a request a little later, and posts
// the response.

/// <reference lib="deno.worker" />

import type { Address } from "../../protocol/address.ts";
import { Peer } from "../support/peer.ts";

/** Time from the connection to the request, in milliseconds. */
const DELAY_MS = 300;

addEventListener("message", async ({ data: address }: MessageEvent<Address>) => {
  await using peer = await Peer.connect(address);
  postMessage("connected");
  await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
  await peer.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await peer.lines();
  postMessage(peer.text);
}, { once: true });
