// The reader of a JetStream stream, with a connection that the test plays.

import type { Msg } from "@nats-io/nats-core";
import { assertEquals } from "@std/assert/equals";
import type { NatsConnection } from "../../cluster/nats_connection.ts";
import { NatsStreamReader } from "../../cluster/nats_stream_reader.ts";
import { Clock } from "../support/clock.ts";
import { pause, soon } from "../support/waiting.ts";

const decoder = new TextDecoder();

/** Starts a reader. Returns what it has published, and a function that sends it messages. */
function start() {
  const published: (string | number)[] = [];
  let callback: (error: Error | null, message: Msg) => void;
  const client = {
    isClosed: () => false,
    publish(subject: string, data = new Uint8Array()) {
      published.push(data.length > 0 ? JSON.parse(decoder.decode(data)).batch : subject);
    },
    subscribe(_: string, options: { callback: typeof callback }) {
      callback = options.callback;
      return { unsubscribe() {} };
    },
  };
  const ended = new Promise<void>(() => {});
  const connection = { client, ended, newInbox: () => "inbox" } as unknown as NatsConnection;
  let received = 0;
  const reader = new NatsStreamReader(connection, "s", "c", () => void received++);
  return {
    reader,
    published,
    send(count: number) {
      for (let i = 0; i < count; i++) {
        const reply = `$JS.ACK.s.c.1.${received + 1}.${received + 1}.1700000000000000000.0`;
        callback(null, { subject: "w", reply, data: new Uint8Array() } as Msg);
      }
    },
  };
}

Deno.test("NatsStreamReader may be silent while it asks for nothing, and then deletes its consumer", async () => {
  using clock = new Clock();
  const { reader, published, send } = start();
  let reason = "";
  reader.ended.then((text) => reason = text);
  assertEquals(published, [64]);
  send(64);
  clock.advance(60_000);
  await pause(1500); // It looks each second.
  assertEquals([reason, published], ["", [64]]);
  reader.taken(10);
  await pause(1500);
  assertEquals([reason, published], ["", [64, 10]]);
  clock.advance(60_000);
  assertEquals(await soon(reader.ended, "the end"), "the stream is silent");
  reader.close();
  assertEquals(published, [64, 10, "$JS.API.CONSUMER.DELETE.s.c"]);
});
