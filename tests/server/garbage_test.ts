/** What a short collection of garbage must free, although what has made it is old. */

import { assertLess } from "@std/assert/less";
import { Program } from "../support/process.ts";

const PROGRAM = new URL("../support/garbage_program.ts", import.meta.url).href;

Deno.test("Queueing lines and clearing maps leave nothing that only a full collection frees", async () => {
  const args = ["run", "--no-check", "--v8-flags=--expose-gc", PROGRAM];
  await using program = new Program(Deno.execPath(), args);
  const { stdout } = await program.end();
  for (const [call, bytes] of Object.entries<number>(JSON.parse(stdout))) {
    // A chain of garbage takes 250 bytes or more.
    assertLess(bytes, 100, `${call} leaves ${bytes} bytes`);
  }
});
