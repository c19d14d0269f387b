import { assertEquals } from "@std/assert/equals";
import { type Keeper, KEEPERS } from "./keepers.ts";
import { bytesOf } from "./wire.ts";

const keeper = (name: string): Keeper => KEEPERS.find((each) => each.name.startsWith(name))!;

/** What a publisher knows after each chunk. */
const counts = (name: string, ...chunks: string[]): number[] =>
  chunks.map(bytesOf).map(keeper(name).counter());

Deno.test("The publisher of a relay knows the last acknowledgement that has come as a whole", () => {
  const ack = (events: number) => `{"control":"ack","events":${events}}\n`;
  assertEquals(counts("this relay", ack(3) + ack(12), ack(345).slice(0, -3)), [12, 12]);
  assertEquals(counts("this relay", ack(345).slice(0, -3), ack(345).slice(-3)), [0, 345]);
  assertEquals(counts("this relay", '{"control":"keepalive"}\n', ack(1), "\n"), [0, 1, 1]);
});

Deno.test("The publishers of brokers count one acknowledgement for each message", () => {
  const answer = (seq: number) => `MSG answer 1 25\r\n{"stream":"KEPT","seq":${seq}}\r\n`;
  assertEquals(counts("JetStream", answer(9), "PING\r\n", answer(10) + answer(11)), [1, 1, 3]);
  const id = (n: number) => `$15\r\n1790000000000-${n}\r\n`;
  assertEquals(counts("redis", id(0) + id(1), id(2).slice(0, 8), id(2).slice(8)), [2, 3, 3]);
  assertEquals(counts("mosquitto", "\x40\x02\x00\x01\x40", "\x02\x00\x02"), [1, 2]);
});

Deno.test("A message with QoS 1 has an ID of its own, and never 0", () => {
  const { publish } = keeper("mosquitto");
  const event = bytesOf("e");
  assertEquals(publish(event, 0), bytesOf("\x32\x09\x00\x04kept\x00\x01e"));
  assertEquals(publish(event, 65_534).at(-2), 255);
  assertEquals(publish(event, 65_535), publish(event, 0));
});
