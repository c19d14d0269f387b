import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertLess } from "@std/assert/less";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { MemoryListener } from "../../net/memory.ts";
import type { Socket } from "../../net/transport.ts";
import { textOf, utf8 } from "../support/bytes.ts";

async function connected(): Promise<[client: Socket, server: Socket, listener: MemoryListener]> {
  const listener = new MemoryListener();
  const client = await listener.dial();
  return [client, await listener.accept(), listener];
}

async function readText(socket: Socket, most = 100): Promise<string | null> {
  const buffer = new Uint8Array(most);
  const length = await socket.read(buffer);
  return length === null ? null : textOf(buffer.subarray(0, length));
}

Deno.test("MemoryListener carries bytes both ways, in pieces of any size", async () => {
  const [client, server] = await connected();
  assertEquals(await client.write(utf8("hello")), 5);
  assertEquals(await client.write(utf8(" you")), 4);
  assertEquals(await readText(server, 3), "hel");
  assertEquals(await readText(server), "lo you");
  const answer = readText(client);
  await server.write(utf8("hi"));
  assertEquals(await answer, "hi");
});

Deno.test("MemoryListener makes a writer wait for its reader", async () => {
  const [client, server] = await connected();
  const much = new Uint8Array(1_000_000).fill(0x61);
  const taken = await client.write(much);
  assertLess(taken, much.length);
  let isWritten = false;
  const more = client.write(much).then((length) => {
    isWritten = true;
    return length;
  });
  await Promise.resolve();
  assertFalse(isWritten);
  assertEquals((await readText(server, 1000))?.length, 1000);
  assertEquals(await more, 1000);
});

Deno.test("MemoryListener lets a half-closed side read on", async () => {
  const [client, server] = await connected();
  await client.write(utf8("last"));
  await client.closeWrite();
  assertEquals([await readText(server), await readText(server)], ["last", null]);
  await server.write(utf8("answer"));
  server.close();
  assertEquals([await readText(client), await readText(client)], ["answer", null]);
  await assertRejects(() => client.write(utf8("x")), Deno.errors.BrokenPipe);
});

Deno.test("MemoryListener fails pending calls and the peer's writes when a side is closed", async () => {
  const [client, server] = await connected();
  const reading = readText(client);
  client.close();
  await assertRejects(() => reading, Deno.errors.BadResource);
  await assertRejects(() => client.write(utf8("x")), Deno.errors.BadResource);
  await assertRejects(() => server.write(utf8("x")), Deno.errors.BrokenPipe);
  assertStrictEquals(await readText(server), null);
});

Deno.test("MemoryListener.close() ends waiting and refuses connections", async () => {
  const listener = new MemoryListener();
  const waiting = await listener.dial();
  listener.close();
  assertStrictEquals(await readText(waiting), null);
  await assertRejects(() => listener.accept(), Deno.errors.BadResource);
  await assertRejects(() => listener.dial(), Deno.errors.ConnectionRefused);

  const another = new MemoryListener();
  const accepting = another.accept();
  another.close();
  await assertRejects(() => accepting, Deno.errors.BadResource);
});

Deno.test("MemoryListener gives each listener and each connection a name of its own", async () => {
  const [client, server, listener] = await connected();
  const other = new MemoryListener();
  assertEquals(listener.address[0], "memory");
  assertNotStrictEquals(listener.address[1], other.address[1]);
  assertEquals(client.remoteAddr, listener.addr as Deno.Addr);
  await listener.dial();
  const second = await listener.accept();
  assertEquals((server.remoteAddr as Deno.NetAddr).port, 1);
  assertEquals((second.remoteAddr as Deno.NetAddr).port, 2);
});
