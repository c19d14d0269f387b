/**
 * Ports for servers that need their port before they listen.
 *
 * Systems give ports from 32,768 on, or from 49,152, to whoever asks for any: such a port may be taken by
 * the time that the server listens. What is worse, who tries again and again to connect to it gets it
 * for its own end one day, and is then connected to itself. So these are below.
 */

const FIRST = 20_000;
const COUNT = 10_000;

/** A port of 127.0.0.1 on which nobody listens. */
export function freePort(): number {
  return freePorts(1);
}

/** The first of so many successive ports of 127.0.0.1 on which nobody listens. */
export function freePorts(count: number): number {
  for (;;) {
    const first = FIRST + Math.floor(Math.random() * COUNT);
    if (Array.from({ length: count }, (_, i) => first + i).every(isFree)) return first;
  }
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}
