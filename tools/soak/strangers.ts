/**
 * Peers that connect to a relay and misbehave, each in its own way, over and over. It is a
 * program, so that they do not disturb who measures; it runs until it is killed.
 *
 * Argument: the address as JSON.
 *
 * @module
 */

/** How long one of a kind waits before it comes again, at most, in milliseconds. */
const PAUSE_MS = 1000;

/** How many of each kind there are at the same time. */
const OF_EACH_KIND = 4;

const VALID = '{"event":"stranger","__dict__":{"text":"hello","n":[1,2.5,-3e4,true,null]}}\n';

const [hostname, port] = JSON.parse(Deno.args[0]!);
const encoder = new TextEncoder();

type Behaviour = (conn: Deno.TcpConn) => Promise<void>;

const BEHAVIOURS: Record<string, Behaviour> = {
  /** One byte of a line after the other, and never its end. */
  async slowLoris(conn) {
    for (const byte of encoder.encode(VALID.repeat(2).replaceAll("\n", " "))) {
      await conn.write(Uint8Array.of(byte));
      await sleep(200);
    }
  },
  async randomBytes(conn) {
    await send(conn, crypto.getRandomValues(new Uint8Array(4096)));
  },
  /** Valid lines, of which any byte may have changed. */
  async mutatedLines(conn) {
    const bytes = encoder.encode(VALID.repeat(20));
    for (let i = 0; i < 5; i++) bytes[random(bytes.length)] = random(256);
    await send(conn, bytes);
  },
  async emptyLines(conn) {
    await send(conn, encoder.encode("\n".repeat(100_000)));
  },
  async longLine(conn) {
    await send(conn, encoder.encode(`{"event":"${"x".repeat(2_000_000)}"}\n`));
  },
  async http(conn) {
    await send(conn, encoder.encode(`GET / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`));
    await drain(conn);
  },
  async hellos(conn) {
    await send(conn, encoder.encode('{"control":"hello","version":1,"ack":true}\n'.repeat(1000)));
  },
  async comesAndGoes() {},
  /** It stops sending and goes on reading. */
  async halfClose(conn) {
    await send(conn, encoder.encode(VALID));
    await conn.closeWrite();
    await drain(conn);
  },
  /** It never reads, so that what the relay has for it piles up. */
  async deaf() {
    await sleep(60_000);
  },
};

for (const behave of Object.values(BEHAVIOURS)) {
  for (let i = 0; i < OF_EACH_KIND; i++) repeat(behave);
}

async function repeat(behave: Behaviour): Promise<never> {
  for (;;) {
    try {
      using conn = await Deno.connect({ hostname, port });
      await behave(conn);
    } catch {
      // The relay has closed it, or is away.
    }
    await sleep(random(PAUSE_MS));
  }
}

async function send(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  while (await conn.read(buffer) !== null);
}

function random(end: number): number {
  return Math.floor(Math.random() * end);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
