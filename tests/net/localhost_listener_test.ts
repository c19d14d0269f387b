import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { type Bind, listenOnLocalhost, type TcpListener } from "../../net/localhost_listener.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { freePort } from "../support/free_port.ts";

const bind: Bind = (hostname, port) => Deno.listen({ hostname, port });

const certificates = await makeCertificates();

/** Says whether somebody can connect. */
async function isReached(hostname: string, port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

Deno.test("EbsocketServer on localhost is reached by that name and by both of its addresses", async () => {
  for (const name of ["localhost", "LOCALHOST"]) {
    await using relay = new Relay(new EbsocketServer([name, 0]));
    const [hostname, port] = relay.server.address;
    assertEquals(hostname, "localhost");
    const clients = [];
    for (const each of ["127.0.0.1", "::1", "localhost"]) {
      const client = new EbsocketClient();
      await client.connectTo([each, port]);
      clients.push(client);
    }
    await clients[0]!.sendEvent(new EbsocketEvent("a"));
    for (const client of clients) {
      assertEquals((await client.recvEvent())?.event, "a");
      await client.close();
    }
  }
});

Deno.test("EbsocketServer on localhost binds the given port on both addresses, or on none", async () => {
  for (const taken of ["127.0.0.1", "::1"]) {
    const port = freePort();
    const listener = Deno.listen({ hostname: taken, port });
    const { message } = assertThrows(
      () => new EbsocketServer(["localhost", port]),
      Deno.errors.AddrInUse,
    );
    const shown = taken === "::1" ? "[::1]" : taken;
    assertEquals(message, `Cannot listen on ${shown}:${port}: the port is taken`);
    listener.close();
    // Nothing is left over: now it can have both.
    await using server = new EbsocketServer(["localhost", port]);
    assertEquals(server.address, ["localhost", port]);
  }
});

Deno.test("EbsocketServer on localhost accepts from either address while the other is busy, and leaves no connection over", async () => {
  const server = new EbsocketServer(["localhost", 0]);
  const [, port] = server.address;
  const conns = await Promise.all(
    ["127.0.0.1", "127.0.0.1", "::1", "::1"].map((hostname) => Deno.connect({ hostname, port })),
  );
  const from = [];
  for (let i = 0; i < 3; i++) {
    const [connection, [hostname]] = await server.acceptConnection();
    from.push(hostname);
    await connection.close();
  }
  assertEquals(from.slice(0, 2).toSorted(), ["127.0.0.1", "::1"]);
  server.close();
  for (const conn of conns) conn.close();
});

Deno.test({
  name: "EbsocketServer on localhost speaks TLS on both addresses",
  ignore: certificates === null,
  async fn() {
    const { ca, server: tls } = certificates!;
    await using relay = new Relay(new EbsocketServer({ hostname: "localhost", tls }));
    for (const hostname of ["127.0.0.1", "::1"]) {
      await using client = new EbsocketClient({ tls: { caCerts: ca, hostname: "localhost" } });
      await client.connectTo([hostname, relay.server.address[1]]);
    }
  },
});

for (const permitted of ["localhost", "127.0.0.1"]) {
  Deno.test({
    name: `EbsocketServer on localhost needs no permission but that for ${permitted}`,
    permissions: { net: [permitted] },
    async fn() {
      await using server = new EbsocketServer(["localhost", 0]);
      const [hostname, port] = server.address;
      assert(hostname === "127.0.0.1" || hostname === "::1", hostname);
      assert(await isReached(permitted, port));
    },
  });
}

Deno.test("listenOnLocalhost() listens on one address if the machine has no other", async () => {
  const listener = listenOnLocalhost(0, (hostname, port) => {
    if (hostname === "::1") throw new Deno.errors.AddrNotAvailable("Cannot assign");
    return bind(hostname, port);
  });
  assertEquals(listener.addr.hostname, "127.0.0.1");
  assert(await isReached("127.0.0.1", listener.addr.port));
  listener.close();
});

Deno.test("listenOnLocalhost() chooses another port where the first is taken on one address, and not for ever", () => {
  const taken: TcpListener[] = [];
  let attempts = 0;
  const bindTo = (most: number): Bind => (hostname, port) => {
    if (hostname === "127.0.0.1") attempts++;
    if (hostname === "::1" && attempts <= most) taken.push(bind("::1", port));
    return bind(hostname, port);
  };
  const listener = listenOnLocalhost(0, bindTo(2));
  assertEquals(listener.addr.hostname, "localhost");
  assertEquals(attempts, 3);
  listener.close();
  assertThrows(() => listenOnLocalhost(0, bindTo(Infinity)), Deno.errors.AddrInUse);
  for (const each of taken) each.close();
});
