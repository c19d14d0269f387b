import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import type { Address } from "../../protocol/address.ts";
import { makeCertificates } from "../support/certificates.ts";
import { Command } from "../support/command.ts";
import { TempFolder } from "../support/folder.ts";
import { Peer } from "../support/peer.ts";
import { eventually } from "../support/waiting.ts";

const isWindows = Deno.build.os === "windows";

/** Looks whether somebody listens, as `nc -z` does. */
async function probe([hostname, port]: Address, times: number): Promise<void> {
  for (let i = 0; i < times; i++) (await Deno.connect({ hostname, port })).close();
}

/** Waits until a relay has counted so many; gives its stats. */
async function silentPeers(relay: Command, count: number) {
  return await eventually(async () => {
    relay.kill("SIGUSR2");
    const [line] = await relay.expect(/^{"time".*"type":"stats".*}$/m);
    const stats = JSON.parse(line);
    if (stats.silentPeers >= count) return stats;
    throw new Error(`Only ${stats.silentPeers} of ${count} peers are counted`);
  });
}

/** The lines of the log that are no stats, without their times. */
function logOf({ stdout }: Command): string[] {
  return stdout.split("\n").flatMap((line) => /^\S+Z (.*)$/.exec(line)?.[1] ?? []);
}

Deno.test({
  name: "relay counts health checks, and logs peers that send something or stay",
  ignore: isWindows,
  async fn() {
    await using relay = new Command(["--port", "0"]);
    const address = await relay.listens();
    await probe(address, 3);
    const stats = await silentPeers(relay, 3);
    assertObjectMatch(stats, { silentPeers: 3, clientsTotal: 3, closes: { eof: 3 } });
    const speaker = await Peer.connect(address);
    await speaker.send("\n");
    await relay.expect(/client c4 joined from \S+ \(1 connected\)/);
    await speaker[Symbol.asyncDispose]();
    await relay.expect(/client c4 left: eof; .* bytes 1 in, /);
    await using _listener = await Peer.connect(address);
    await relay.expect(/client c5 joined from \S+ \(1 connected\)/);
    assertEquals(logOf(relay).map((line) => line.split(" ", 3).join(" ")), [
      "client c4 joined",
      "client c4 left:",
      "client c5 joined",
    ]);
  },
});

Deno.test({
  name: "relay logs a client that was sent something, however soon it leaves",
  ignore: isWindows,
  async fn() {
    await using relay = new Command(["--port", "0"]);
    const address = await relay.listens();
    await using speaker = await Peer.connect(address);
    await speaker.send('{"event":"a"}\n');
    await relay.expect(/client c1 joined/);
    const listener = await Peer.connect(address);
    const sending = setInterval(() => speaker.send('{"event":"a"}\n'), 10);
    await listener.sees("a");
    clearInterval(sending);
    await listener[Symbol.asyncDispose]();
    await relay.expect(/client c2 joined from \S+ \(2 connected\)\n.* client c2 left: /);
  },
});

Deno.test({
  name: "relay --token counts health checks, and logs refused peers that send something",
  ignore: isWindows,
  async fn() {
    await using relay = new Command(["--port", "0", "--token", "secret"]);
    const address = await relay.listens();
    await probe(address, 3);
    const stats = await silentPeers(relay, 3);
    assertObjectMatch(stats, { silentPeers: 3, refusals: { eof: 3 } });
    const stranger = await Peer.connect(address);
    await stranger.send("x");
    await stranger[Symbol.asyncDispose]();
    await relay.expect(/refused a client from /);
    assertEquals(logOf(relay).length, 1);
  },
});

const certificates = isWindows ? null : await makeCertificates();

Deno.test({
  name: "relay --tls-cert counts health checks, and logs peers without TLS",
  ignore: certificates === null,
  async fn() {
    using folder = new TempFolder();
    const { cert, key } = certificates!.server;
    await Deno.writeTextFile(`${folder.path}/cert`, cert);
    await Deno.writeTextFile(`${folder.path}/key`, key);
    const args = [
      "--port",
      "0",
      "--tls-cert",
      `${folder.path}/cert`,
      "--tls-key",
      `${folder.path}/key`,
    ];
    await using relay = new Command(args, ["-A"]);
    const address = await relay.listens();
    await probe(address, 3);
    const stats = await silentPeers(relay, 3);
    assertObjectMatch(stats, { silentPeers: 3, refusals: { unauthorized: 3 } });
    await using stranger = await Peer.connect(address);
    await stranger.send("GET / HTTP/1.1\r\n");
    await relay.expect(/refused a client from /);
    assertEquals(logOf(relay).length, 1);
    assertMatch(logOf(relay)[0]!, /does not speak TLS/);
  },
});
