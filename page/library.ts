/**
 * The client library that the relay serves besides the page.
 *
 * @module
 */

/// <reference lib="dom" />

import type { ClientOptions, EbsocketClient } from "../client.ts";

/** The part of a client that the page uses. */
export interface Client extends
  Pick<
    EbsocketClient,
    | "id"
    | "connected"
    | "closed"
    | "status"
    | "subscribe"
    | "unsubscribe"
    | "recvEvents"
    | "inspect"
    | "send"
    | "request"
    | "close"
  > {
  /** Connects to the WebSocket at a URL. */
  connectTo(url: string): Promise<void>;
}

/** The part of the library that the page uses. */
interface Library {
  readonly EbsocketClient: new (options: ClientOptions) => Client;
}

/**
 * Loads the library. Its address and that of the relay are relative to the page, so that both work
 * below any path of a proxy.
 */
export function loadLibrary(): Promise<Library> {
  return import(new URL("client.js", document.baseURI).href);
}

/** Returns the address of the WebSocket. */
export function socketAddress(): string {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
