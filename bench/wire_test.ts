import { assertEquals } from "@std/assert/equals";
import { FakeDuplex } from "../tests/support/duplex.ts";
import { bytesOf, lines, relayLines } from "./wire.ts";

Deno.test("lines ends an event with a newline, and nothing else happens to it", () => {
  const event = bytesOf('{"event":"ä"}');
  assertEquals(lines.publish(event), bytesOf('{"event":"ä"}\n'));
  assertEquals(lines.deliver(event), lines.publish(event));
  assertEquals(lines.acknowledge(50).length, 0);
});

Deno.test("relayLines.on() subscribes to one name, and as a publisher to none", async () => {
  for (const [role, events] of [["subscriber", ["ping"]], ["publisher", []]] as const) {
    const connection = new FakeDuplex();
    connection.receive('{"control":"ack","id":"s"}\n');
    await relayLines.on!("ping").join(connection, role);
    assertEquals(JSON.parse(connection.written), { control: "subscribe", events, id: "s" });
  }
});

Deno.test("relayLines says hello, and waits for the answer", async () => {
  const connection = new FakeDuplex();
  connection.receive('{"control":"wel');
  connection.receive('come"}\n');
  await relayLines.join(connection, "both");
  assertEquals(connection.written, '{"control":"hello"}\n');
});
