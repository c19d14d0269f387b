import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { FakeDuplex } from "../tests/support/duplex.ts";
import { assertThrows } from "@std/assert/throws";
import { relayWebsocket, socketIo, websocket } from "./websocket_wires.ts";
import { bytesOf } from "./wire.ts";

Deno.test("websocket has the frames of section 5.7 of RFC 6455", () => {
  const hello = bytesOf("Hello");
  assertEquals(
    [...websocket.publish(hello)],
    [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
  );
  assertEquals([...websocket.deliver(hello)], [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
  assertEquals(websocket.acknowledge(50).length, 0);
});

Deno.test("websocket has two bytes of length from 126 on", () => {
  const start = (length: number) => [...websocket.deliver(new Uint8Array(length)).subarray(0, 4)];
  assertEquals(start(125), [0x81, 125, 0, 0]);
  assertEquals(start(126), [0x81, 126, 0, 126]);
  assertEquals(start(256), [0x81, 126, 1, 0]);
  assertEquals(start(65_535), [0x81, 126, 255, 255]);
  assertThrows(() => websocket.deliver(new Uint8Array(65_536)), RangeError);
  assertEquals([...websocket.publish(new Uint8Array(256)).subarray(0, 4)], [0x81, 254, 1, 0]);
});

Deno.test("socketIo sends an event as packet type 2 in an Engine.IO message", () => {
  const event = bytesOf('{"a":1}');
  assertEquals(socketIo.deliver(event), frame(21, '42["message",{"a":1}]'));
  assertEquals(
    socketIo.publish(event),
    websocket.publish(bytesOf('42["message",{"a":1}]')),
  );
});

Deno.test("websocket.on() is another path, and the same messages", async () => {
  const ping = websocket.on!("ping");
  const event = bytesOf('{"a":1}');
  assertEquals(ping.publish(event), websocket.publish(event));
  assertEquals(ping.deliver(event), websocket.deliver(event));
  const connection = new FakeDuplex();
  connection.receive("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  await ping.join(connection, "subscriber");
  assertMatch(connection.written, /^GET \/ping HTTP\/1\.1\r\n/);
});

Deno.test("relayWebsocket upgrades, says hello, and sends an event as a message", async () => {
  const event = bytesOf('{"event":"a"}');
  assertEquals(relayWebsocket.publish(event), websocket.publish(event));
  assertEquals(relayWebsocket.deliver(event), frame(13, '{"event":"a"}'));
  const connection = new FakeDuplex();
  connection.receive("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  connection.receive(frame(21, '{"control":"welcome"}'));
  await relayWebsocket.join(connection, "subscriber");
  assertMatch(connection.written, /^GET \/ws HTTP\/1\.1\r\n/);
  const hello = new TextDecoder().decode(websocket.publish(bytesOf('{"control":"hello"}')));
  assertEquals(connection.written.split("\r\n\r\n")[1], hello);
});

Deno.test("relayWebsocket.on() subscribes to one name, and as a publisher to none", async () => {
  for (const [role, events] of [["subscriber", ["ping"]], ["publisher", []]] as const) {
    const connection = new FakeDuplex();
    connection.receive("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    connection.receive(frame(26, '{"control":"ack","id":"s"}'));
    await relayWebsocket.on!("ping").join(connection, role);
    const line = JSON.stringify({ control: "subscribe", events, id: "s" });
    const message = new TextDecoder().decode(websocket.publish(bytesOf(line)));
    assertEquals(connection.written.split("\r\n\r\n")[1], message);
  }
});

Deno.test("socketIo.on() joins a room, and publishes to it with its name", async () => {
  const ping = socketIo.on!("ping");
  const event = bytesOf('{"a":1}');
  assertEquals(
    ping.publish(event),
    websocket.publish(bytesOf('42["publish","ping",{"a":1}]')),
  );
  assertEquals(ping.deliver(event), socketIo.deliver(event));
  const connection = new FakeDuplex();
  connection.receive('HTTP/1.1 101 Switching Protocols\r\n\r\n0{"sid":"a"}');
  connection.receive('40{"sid":"b"}');
  await ping.join(connection, "subscriber");
  assertMatch(connection.written, /^GET \/socket\.io\/\?\S+&room=ping HTTP/);
});

function frame(length: number, text: string): Uint8Array {
  return new Uint8Array([0x81, length, ...bytesOf(text)]);
}
