import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { isAddress, parseAuthority } from "../../protocol/authority.ts";
import { fuzzRuns } from "../support/lines.ts";

Deno.test("parseAuthority() returns the host as browsers write it, and the port", () => {
  const cases: [text: string, host: string, port: number | null][] = [
    ["127.0.0.1:7982", "127.0.0.1", 7982],
    ["127.1", "127.0.0.1", null],
    ["0x7f000001", "127.0.0.1", null],
    ["localhost", "localhost", null],
    ["LocalHost.:80", "localhost.", 80],
    ["Relay.Example:443", "relay.example", 443],
    ["my_box-1", "my_box-1", null],
    ["xn--bcher-kva.example", "xn--bcher-kva.example", null],
    ["[::1]:7982", "[::1]", 7982],
    ["[0:0:0:0:0:0:0:1]", "[::1]", null],
    ["[FE80::A]", "[fe80::a]", null],
    ["[::ffff:127.0.0.1]:0", "[::ffff:7f00:1]", 0],
    ["a:65535", "a", 65535],
  ];
  for (const [text, host, port] of cases) assertEquals(parseAuthority(text), { host, port }, text);
});

Deno.test("parseAuthority() returns null for anything else", () => {
  const texts = [
    "",
    ":7982",
    "a:",
    "a:65536",
    "a:-1",
    "a:x",
    "a:1:2",
    "a b",
    " a",
    "a/",
    "a?b",
    "a#b",
    "a\\b",
    "a\0",
    "user@a",
    "user:1@a",
    "127.0.0.1:7982@evil.example",
    "evil.example#@127.0.0.1",
    "http://a",
    "a%2eb",
    "büro.example",
    "::1",
    "[::1",
    "[::1]x",
    "[::g]",
    "[fe80::1%25eth0]",
    "[127.0.0.1]",
    "256.1.1.1",
    "1.2.3.4.5",
    "xn--",
    "localhost, evil.example",
  ];
  for (const text of texts) assertEquals(parseAuthority(text), null, text);
});

Deno.test("parseAuthority() returns a host that it reads as the same host", () => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6().map((each) => `[${each}]`));
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65535 }), (text, port) => {
      const once = parseAuthority(`${text}:${port}`);
      assertEquals(once?.port, port);
      assertEquals(parseAuthority(`${once!.host}:${port}`), once);
    }),
    { numRuns: fuzzRuns(300) },
  );
});

Deno.test("isAddress() is true of IP addresses alone", () => {
  const addresses = ["127.0.0.1", "0.0.0.0", "[::1]", "[fe80::a]"];
  const names = ["localhost", "127.0.0.1.example", "a1", "1.example", "x-1.a-2"];
  assertEquals(addresses.filter((each) => !isAddress(parseAuthority(each)!.host)), []);
  assertEquals(names.filter((each) => isAddress(parseAuthority(each)!.host)), []);
});
