import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { textOf } from "../tests/support/bytes.ts";
import { FakeDuplex } from "../tests/support/duplex.ts";
import { mqtt, nats, redis } from "./broker_wires.ts";
import { bytesOf } from "./wire.ts";

const EVENT = bytesOf('{"a":1}');

Deno.test("nats publishes with PUB and receives MSG, with the length of the payload", () => {
  assertEquals(nats.publish(EVENT), bytesOf('PUB events 7\r\n{"a":1}\r\n'));
  assertEquals(nats.deliver(EVENT), bytesOf('MSG events 1 7\r\n{"a":1}\r\n'));
  assertEquals(nats.acknowledge(50).length, 0);
});

Deno.test("nats counts bytes, not characters", () => {
  assertEquals(nats.publish(bytesOf("ä")), bytesOf("PUB events 2\r\nä\r\n"));
});

Deno.test("redis publishes and receives arrays of bulk strings, and answers each PUBLISH with a count", () => {
  assertEquals(
    redis.publish(EVENT),
    bytesOf('*3\r\n$7\r\nPUBLISH\r\n$6\r\nevents\r\n$7\r\n{"a":1}\r\n'),
  );
  assertEquals(
    redis.deliver(EVENT),
    bytesOf('*3\r\n$7\r\nmessage\r\n$6\r\nevents\r\n$7\r\n{"a":1}\r\n'),
  );
  assertEquals(redis.acknowledge(50), bytesOf(":50\r\n"));
});

Deno.test("mqtt publishes and receives the same PUBLISH packet", () => {
  assertEquals(mqtt.publish(EVENT), bytesOf('\x30\x0f\x00\x06events{"a":1}'));
  assertEquals(mqtt.deliver(EVENT), mqtt.publish(EVENT));
  assertEquals(mqtt.acknowledge(50).length, 0);
});

Deno.test("mqtt writes lengths as table 2.4 and section 2.2.3 of its specification do", () => {
  const lengths = {
    127: [0x7f],
    128: [0x80, 0x01],
    321: [0xc1, 0x02],
    16_383: [0xff, 0x7f],
    16_384: [0x80, 0x80, 0x01],
  };
  for (const [length, bytes] of Object.entries(lengths)) {
    const packet = mqtt.publish(new Uint8Array(Number(length) - "\0\x06events".length));
    assertEquals([...packet.subarray(1, 1 + bytes.length)], bytes);
    assertEquals(packet.length, 1 + bytes.length + Number(length));
  }
});

Deno.test("nats.on() publishes on its subject, and subscribes to no other", async () => {
  const ping = nats.on!("ping");
  assertEquals(ping.publish(EVENT), bytesOf('PUB ping 7\r\n{"a":1}\r\n'));
  assertEquals(ping.deliver(EVENT), bytesOf('MSG ping 1 7\r\n{"a":1}\r\n'));
  const connection = new FakeDuplex();
  connection.receive("INFO {}\r\nPONG\r\n");
  await ping.join(connection, "subscriber");
  assertStringIncludes(connection.written, "\r\nSUB ping 1\r\nPING\r\n");
});

Deno.test("redis.on() publishes on its channel, and subscribes to no other", async () => {
  const ping = redis.on!("ping");
  assertStringIncludes(textOf(ping.publish(EVENT)), "$7\r\nPUBLISH\r\n$4\r\nping\r\n");
  assertStringIncludes(textOf(ping.deliver(EVENT)), "$7\r\nmessage\r\n$4\r\nping\r\n");
  const connection = new FakeDuplex();
  connection.receive("*3\r\n$9\r\nsubscribe\r\n$4\r\nping\r\n:1\r\n");
  await ping.join(connection, "subscriber");
  assertEquals(connection.written, "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nping\r\n");
});

Deno.test("mqtt.on() publishes on its topic, and subscribes to no other", async () => {
  const ping = mqtt.on!("ping");
  assertEquals(ping.publish(EVENT), bytesOf('\x30\x0d\x00\x04ping{"a":1}'));
  assertEquals(ping.deliver(EVENT), ping.publish(EVENT));
  const connection = new FakeDuplex();
  connection.receive(new Uint8Array([0x20, 2, 0, 0]));
  connection.receive(new Uint8Array([0x90, 3, 0, 1, 0]));
  await ping.join(connection, "subscriber");
  assertStringIncludes(connection.written, "\x09\x00\x01\x00\x04ping\x00");
});
