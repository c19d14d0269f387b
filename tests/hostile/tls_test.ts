/** Peers that speak something else to a relay that speaks TLS, or show it the wrong certificate. */

import { assertEquals } from "@std/assert/equals";
import { assertNotMatch } from "@std/assert/not-match";
import type { Address } from "../../protocol/address.ts";
import { formatAddress } from "../../protocol/address.ts";
import { utf8 } from "../support/bytes.ts";
import { size } from "../support/size.ts";
import { type KeyPair, makeCertificates } from "../support/certificates.ts";
import { addressOf, Target } from "./target.ts";

const EVENT = '{"event":"intrusion"}\n';

const certificates = await makeCertificates();
const ignore = certificates === null;

/** Dials with a certificate, or with none. */
function dialAs(client: KeyPair | null): (address: Address) => Promise<Deno.TlsConn> {
  const caCerts = [certificates!.ca];
  return ([hostname, port]) => Deno.connectTls({ hostname, port, caCerts, ...client });
}

/** Starts a relay that speaks TLS, and asks clients for certificates if it is to. */
async function start({ isMutual }: { isMutual: boolean }): Promise<Target> {
  const { server, ca, client } = certificates!;
  const folder = await Deno.makeTempDir();
  try {
    const path = (name: string) => `${folder}/${name}.pem`;
    for (const [name, text] of Object.entries({ ...server, ca })) {
      await Deno.writeTextFile(path(name), text);
    }
    const args = ["--tls-cert", path("cert"), "--tls-key", path("key")];
    if (isMutual) args.push("--tls-client-ca", path("ca"));
    return await Target.start(args, { dial: dialAs(isMutual ? client : null) });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is spoken without TLS to a port that speaks it. */
const PLAIN: [what: string, sent: string][] = [
  ["an event", EVENT],
  ["a hello", '{"control":"hello"}\n'],
  ["HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["empty lines", "\n\n\n\n\n\n"],
  ["half a client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["a client hello that is none", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\n\n\n"],
  ["an alert", "\x15\x03\x03\x00\x02\x02\x28"],
  ["no byte", ""],
];

Deno.test({
  name: "relay --tls-cert accepts nothing from peers without TLS, and logs each in one line",
  ignore,
  async fn() {
    await using target = await start({ isMutual: false });
    for (const [what, sent] of PLAIN) {
      await using peer = await target.peer();
      await peer.send(sent);
      await target.pair.talk();
      await peer.conn.closeWrite();
      await peer.lines().catch(() => {});
      const address = addressOf(peer);
      assertNotMatch(peer.text, /event/, what);
      peer.close();
      if (sent === "") continue;
      await target.left(address);
      assertEquals(target.entriesOf(address).map(({ type }) => type), ["refuse"], what);
    }
    await target.isCalm();
  },
});

Deno.test({
  name: "relay --tls-client-ca accepts nothing from peers without a valid certificate",
  ignore,
  async fn() {
    await using target = await start({ isMutual: true });
    const { expiredClient, strangeClient, server } = certificates!;
    const certs = { none: null, expired: expiredClient, strange: strangeClient, server };
    for (const [who, pair] of Object.entries(certs)) {
      const before = target.log.length;
      let text = "";
      let address = "";
      try {
        // With TLS 1.3 a client only hears after its handshake that its certificate was refused.
        using conn = await dialAs(pair)(target.address);
        address = formatAddress([conn.localAddr.hostname, conn.localAddr.port]);
        await conn.write(utf8(EVENT));
        await target.pair.talk();
        for await (const chunk of conn.readable.pipeThrough(new TextDecoderStream())) text += chunk;
      } catch {
        // Refused.
      }
      assertEquals(text, "", who);
      await target.left(address);
      // The others may be told of only now.
      const entries = target.log.slice(before).filter(({ type }) => type !== "join");
      assertEquals(entries.length, 1, who);
      await target.isCalm();
    }
  },
});

Deno.test({
  name: "relay --tls-cert serves others while many handshakes are not finished",
  ignore,
  async fn() {
    await using target = await start({ isMutual: false });
    const peers = await Promise.all(Array.from({ length: size(100, 3000) }, async (_, i) => {
      const peer = await target.peer();
      await peer.send(["", "\x16", "\x16\x03\x01\x02\x00\x01"][i % 3]!);
      return peer;
    }));
    for (let i = 0; i < 10; i++) await target.pair.talk();
    const conn = await dialAs(null)(target.address);
    conn.close();
    for (const peer of peers) await peer[Symbol.asyncDispose]();
    await target.isCalm();
  },
});
