import { assertEquals } from "@std/assert/equals";
import { bytesOf, lines } from "./wire.ts";

Deno.test("lines ends an event with a newline, and nothing else happens to it", () => {
  const event = bytesOf('{"event":"ä"}');
  assertEquals(lines.publish(event), bytesOf('{"event":"ä"}\n'));
  assertEquals(lines.deliver(event), lines.publish(event));
  assertEquals(lines.acknowledge(50).length, 0);
});
