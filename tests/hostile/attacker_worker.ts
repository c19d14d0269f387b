/**
 * The sockets of a large attack, on a thread of its own, so that a measurement meanwhile measures
 * the relay and not the attacker.
 *
 * @module
 */

/** What an attacker is told to do. */
export type Job =
  & {
    /** Where to. */
    hostname: string;
    port: number;
    /** How many sockets. */
    count: number;
    /** What they send first: the first socket the first text, and so on, over and over. */
    texts: string[];
  }
  & ({
    /** Opens all and keeps them, and sends one byte after the other on them in turn. */
    kind: "hold";
    /** What is sent, over and over; nothing if empty. */
    trickle: string;
    /** Whether it reads what it gets. */
    reads: boolean;
  } | {
    /** Opens and closes one after the other. */
    kind: "flood";
  });

/** What came of it. */
export interface Result {
  /** How many sockets were connected. */
  connected: number;
  /** How many could not be. */
  failed: number;
  /** How many the relay has closed. */
  ended: number;
  /** What they received, in bytes. */
  received: number;
  /** What was received first by the socket that received first. */
  sample: string;
}

/** How many sockets are being connected at the same time. */
const CONCURRENCY = 32;

/** How many bytes are trickled every {@link TRICKLE_MS}. */
const TRICKLE_BYTES = 20;
const TRICKLE_MS = 10;

const worker = self as unknown as {
  onmessage: ((event: MessageEvent<Job | "stop">) => void) | null;
  postMessage(result: Result): void;
};

const encoder = new TextEncoder();
const result: Result = { connected: 0, failed: 0, ended: 0, received: 0, sample: "" };
const held: Deno.TcpConn[] = [];
let isStopped = false;

worker.onmessage = async ({ data }) => {
  if (data === "stop") {
    isStopped = true;
    return worker.postMessage(result);
  }
  let next = 0;
  await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
    while (next < data.count && !isStopped) await attack(data, next++);
  }));
  worker.postMessage(result);
  if (data.kind === "hold" && data.trickle) await trickle(encoder.encode(data.trickle));
};

async function attack(job: Job, index: number): Promise<void> {
  const text = job.texts[index % job.texts.length] ?? "";
  try {
    const conn = await Deno.connect({ hostname: job.hostname, port: job.port });
    result.connected++;
    if (job.kind === "hold") {
      held.push(conn);
      if (job.reads) read(conn);
      if (text) await conn.write(encoder.encode(text));
    } else {
      if (text) await conn.write(encoder.encode(text));
      conn.close();
    }
  } catch {
    result.failed++;
  }
}

async function read(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    for (let length; (length = await conn.read(buffer)) !== null;) {
      result.received += length;
      result.sample ||= new TextDecoder().decode(buffer.subarray(0, length));
    }
  } catch {
    // A reset ends it as well.
  }
  result.ended++;
}

async function trickle(text: Uint8Array): Promise<void> {
  const places = held.map(() => 0);
  for (let i = 0; !isStopped; i++) {
    const at = i % held.length;
    const place = places[at]!++ % text.length;
    held[at]!.write(text.subarray(place, place + 1)).catch(() => {}); // It may be closed by now.
    if (i % TRICKLE_BYTES === 0) await new Promise((resolve) => setTimeout(resolve, TRICKLE_MS));
  }
}
