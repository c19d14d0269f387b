/**
 * Owns a client that floods a server over TLS, on a thread of its own. Must not know what comes of it.
 *
 * @module
 */

/** What it is told to do. */
export interface Flood {
  /** The port of the server on this machine. */
  readonly port: number;
  /** Who vouches for the server. */
  readonly ca: string;
  /** What it sends, over and over, until the server hangs up. */
  readonly text: string;
}

const worker = self as unknown as { onmessage: ((event: MessageEvent<Flood>) => void) | null };

worker.onmessage = async ({ data: { port, ca, text } }) => {
  const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts: [ca] });
  const bytes = new TextEncoder().encode(text.repeat(500));
  conn.readable.pipeTo(new WritableStream()).catch(() => {});
  try {
    for (;;) {
      for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    }
  } catch {
    // The server has hung up.
  }
};
