/**
 * One of several programs that want to listen at the same path of a Unix socket. At each `+` it gives up
 * what it has and tries again, at each `-` it gives it up alone; it says how that went. Whoever connects
 * is told its name.
 */

import { listen } from "../../net/transport.ts";

const [name, path] = Deno.args;
let listener: ReturnType<typeof listen> | null = null;
console.log("ready");
const order = new Uint8Array(1);
while (await Deno.stdin.read(order) !== null) {
  listener?.close();
  listener = null;
  if (order[0] === 0x2d) {
    console.log("gave up");
    continue;
  }
  try {
    listener = listen({ path: path! });
    greet(listener);
    console.log("listens");
  } catch (error) {
    console.log(error instanceof Deno.errors.AddrInUse ? "taken" : String(error));
  }
}
listener?.close();

async function greet(listener: ReturnType<typeof listen>): Promise<void> {
  try {
    for (;;) {
      const socket = await listener.accept();
      await socket.write(new TextEncoder().encode(name)).catch(() => {}); // It may only have looked.
      socket.close();
    }
  } catch {
    // It listens no more.
  }
}
