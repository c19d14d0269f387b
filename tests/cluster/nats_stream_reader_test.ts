// The reader of a JetStream stream, with a connection that the test plays.

import type { Msg } from "@nats-io/nats-core";
import { assertEquals } from "@std/assert/equals";
import type { NatsConnection } from "../../cluster/nats_connection.ts";
import { NatsStreamReader } from "../../cluster/nats_stream_reader.ts";
import { Clock } from "../support/clock.ts";
import { pause, soon } from "../support/waiting.ts";

const decoder = new TextDecoder();

/** The limit of a request, in bytes. */
const LIMIT = 8_388_608;

/** Starts a reader. Returns what it has published, and functions that send it something. */
function start() {
  const published: (string | (number | undefined)[])[] = [];
  let callback: (error: Error | null, message: Msg) => void;
  const closed = Promise.withResolvers<void>();
  const client = {
    isClosed: () => false,
    publish(subject: string, data?: Uint8Array) {
      const { batch, max_bytes } = data ? JSON.parse(decoder.decode(data)) : {};
      published.push(data ? [batch, max_bytes] : subject);
    },
    subscribe(_: string, options: { callback: typeof callback }) {
      callback = options.callback;
      return { closed: closed.promise, unsubscribe: () => closed.resolve() };
    },
  };
  const end = Promise.withResolvers<void>();
  let waiting = 0;
  const ended = {
    then(onEnd: () => void) {
      waiting++;
      return end.promise.then(onEnd);
    },
  };
  const connection = { client, ended, newInbox: () => "inbox" } as unknown as NatsConnection;
  let received = 0;
  const reader = new NatsStreamReader(connection, "s", "c", () => void received++);
  return {
    reader,
    published,
    /** The number of those that the connection keeps until its end. */
    waiting: () => waiting,
    /** Ends the connection. */
    end() {
      closed.resolve();
      end.resolve();
    },
    send(count: number, size = 100) {
      for (let i = 0; i < count; i++) {
        const reply = `$JS.ACK.s.c.1.${received + 1}.${received + 1}.1700000000000000000.0`;
        const message = { subject: "w", reply, data: new Uint8Array(), size: () => size };
        callback(null, message as unknown as Msg);
      }
    },
    say(code: number, description: string) {
      callback(null, { subject: "inbox", headers: { code, description } } as unknown as Msg);
    },
  };
}

Deno.test("NatsStreamReader may be silent while it asks for nothing, and then deletes its consumer", async () => {
  using clock = new Clock();
  const { reader, published, send } = start();
  let reason = "";
  reader.ended.then((text) => reason = text);
  assertEquals(published, [[64, LIMIT]]);
  send(64);
  clock.advance(60_000);
  await pause(1500); // It looks each second.
  assertEquals([reason, published], ["", [[64, LIMIT]]]);
  reader.taken(10);
  await pause(1500);
  assertEquals([reason, published], ["", [[64, LIMIT], [10, LIMIT]]]);
  clock.advance(60_000);
  assertEquals(await soon(reader.ended, "the end"), "the stream is silent");
  reader.close();
  assertEquals(published, [[64, LIMIT], [10, LIMIT], "$JS.API.CONSUMER.DELETE.s.c"]);
});

Deno.test("NatsStreamReader asks for the next messages once no more can come, however long they are", () => {
  const { reader, published, send, say } = start();
  send(8, LIMIT / 8 - 1);
  reader.taken(8);
  assertEquals(published.splice(0), [[64, LIMIT]]);
  say(409, "Message Size Exceeds MaxBytes");
  assertEquals(published.splice(0), [[64, LIMIT]]);
  send(8, LIMIT / 8); // JetStream says nothing then.
  assertEquals(published.splice(0), [[56, LIMIT]]);
  send(55);
  assertEquals(published, []);
  send(1);
  say(409, "Batch Completed");
  say(100, "Idle Heartbeat");
  assertEquals(published, []);
  reader.taken(60);
  assertEquals(published, [[60, LIMIT]]);
  reader.close();
});

Deno.test("NatsStreamReader asks for a single message if the next one is longer than all may be", () => {
  const { reader, published, send, say } = start();
  say(409, "Message Size Exceeds MaxBytes");
  assertEquals(published, [[64, LIMIT], [1, undefined]]);
  send(1, LIMIT + 1);
  assertEquals(published.slice(2), [[63, LIMIT]]);
  send(1);
  say(409, "Message Size Exceeds MaxBytes");
  assertEquals(published.slice(3), [[62, LIMIT]]);
  reader.close();
});

Deno.test("NatsStreamReader ends if JetStream says anything else", async () => {
  const { reader, say } = start();
  say(409, "Consumer Deleted");
  assertEquals(await reader.ended, "JetStream says: 409 Consumer Deleted");
});

Deno.test("NatsStreamReader ends with its connection, which does not keep it longer than that", async () => {
  const { reader, waiting, end } = start();
  end();
  assertEquals(await soon(reader.ended, "the end"), "the connection has ended");
  const other = start();
  other.reader.close();
  assertEquals(await other.reader.ended, "the relay ends it");
  await pause(0);
  assertEquals([waiting(), other.waiting()], [1, 0]);
});
