import { assertEquals } from "@std/assert/equals";
import { Interrupted } from "../../cli/signals.ts";

Deno.test("Interrupted has the exit code by which a shell knows the signal", () => {
  assertEquals(new Interrupted("SIGINT").exitCode, 130);
  if (Deno.build.os !== "windows") assertEquals(new Interrupted("SIGTERM").exitCode, 143);
});
