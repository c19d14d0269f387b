/**
 * Readers without the library, in a process of their own. They read as fast as they can, and
 * report in the end what each has received.
 *
 * Arguments: the address as JSON, how many readers, and how many bytes each has to expect.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** What a reader has got. */
export interface Haul {
  readonly bytes: number;
  readonly sha256: string;
}

async function read(conn: Deno.Conn, expected: number): Promise<Haul> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(262_144);
  let bytes = 0;
  while (bytes < expected) {
    const length = await conn.read(buffer);
    if (length === null) break;
    hash.update(buffer.subarray(0, length));
    bytes += length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

if (import.meta.main) {
  const [hostname, port] = JSON.parse(Deno.args[0]!);
  const [count, expected] = Deno.args.slice(1).map(Number) as [number, number];
  const conns = await Promise.all(
    Array.from({ length: count }, () => Deno.connect({ hostname, port })),
  );
  console.log("connected");
  const hauls = await Promise.all(conns.map((conn) => read(conn, expected)));
  console.log(JSON.stringify(hauls));
}
