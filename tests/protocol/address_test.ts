import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { type Address, checkAddress, formatAddress } from "../../protocol/address.ts";
import { getLocalIp, toAddress } from "../../net/platform.ts";

Deno.test("formatAddress() writes host and port, and puts IPv6 in brackets", () => {
  assertEquals(formatAddress(["127.0.0.1", 7982]), "127.0.0.1:7982");
  assertEquals(formatAddress(["localhost", 0]), "localhost:0");
  assertEquals(formatAddress(["::1", 7982]), "[::1]:7982");
  assertEquals(formatAddress(["fe80::1%eth0", 65535]), "[fe80::1%eth0]:65535");
});

Deno.test("formatAddress() writes the path of a Unix socket", () => {
  assertEquals(formatAddress(toAddress({ transport: "unix", path: "/run/a.sock" })), "/run/a.sock");
});

Deno.test("formatAddress() writes addresses that URL can parse", () => {
  for (const address of [["127.0.0.1", 7982], ["example.org", 1], ["::1", 65535]] as const) {
    const { hostname, port } = new URL(`tcp://${formatAddress(address)}`);
    assertEquals([hostname.replace(/^\[|\]$/g, ""), Number(port)], [...address]);
  }
});

Deno.test("checkAddress() returns a valid address", () => {
  for (const address of [["127.0.0.1", 0], ["::", 65535], ["localhost", 7982]] as const) {
    assertEquals(checkAddress(address), address);
  }
});

Deno.test("checkAddress() throws a TypeError for a host that is not a string", () => {
  const hosts: [host: unknown, shown: string][] = [
    ["", '""'],
    [undefined, "undefined"],
    [null, "null"],
    [127, "127"],
    [["::1"], '["::1"]'],
  ];
  for (const [host, shown] of hosts) {
    assertThrows(() => checkAddress([host, 7982] as unknown as Address), TypeError, shown);
  }
});

Deno.test("checkAddress() throws a RangeError for a port out of range", () => {
  for (const port of [-1, 65536, 1.5, NaN, Infinity]) {
    assertThrows(() => checkAddress(["127.0.0.1", port]), RangeError, Deno.inspect(port));
  }
});

Deno.test("checkAddress() throws a TypeError for a port that is not a number", () => {
  const ports: unknown[] = ["7982", null, undefined];
  for (const port of ports) {
    const address = ["127.0.0.1", port] as unknown as Address;
    assertThrows(() => checkAddress(address), TypeError, Deno.inspect(port));
  }
  assertThrows(() => checkAddress(["127.0.0.1"] as unknown as Address), TypeError, "undefined");
});

Deno.test("checkAddress() refuses port 0 where a port is required", () => {
  assertEquals(checkAddress(["127.0.0.1", 0], 0), ["127.0.0.1", 0]);
  assertEquals(checkAddress(["127.0.0.1", 1], 1), ["127.0.0.1", 1]);
  const { message } = assertThrows(() => checkAddress(["127.0.0.1", 0], 1), RangeError);
  assertMatch(message, /\b1 to 65535\b.*\b0$/);
});

Deno.test("checkAddress() throws a TypeError for a value that is not a pair", () => {
  const addresses: unknown[] = [undefined, null, 7982, {}, []];
  for (const address of addresses) {
    assertThrows(() => checkAddress(address as Address), TypeError);
  }
});

Deno.test("toAddress() returns host and port of TCP, and path and 0 of a Unix socket", () => {
  const tcp: Deno.Addr = { transport: "tcp", hostname: "::1", port: 7982 };
  const unix: Deno.Addr = { transport: "unix", path: "/run/relay.sock" };
  assertEquals(toAddress(tcp), ["::1", 7982]);
  assertEquals(toAddress(unix), ["/run/relay.sock", 0]);
});

Deno.test({
  name: "getLocalIp() returns a reachable IPv4 address of this machine, or 127.0.0.1",
  permissions: { sys: ["networkInterfaces"] },
  fn() {
    const own = Deno.networkInterfaces()
      .filter(({ family }) => family === "IPv4")
      .map(({ address }) => address);
    const reachable = own.filter((address) => !/^(?:127\.|169\.254\.)/.test(address));
    const expected = reachable.length > 0 ? reachable : ["127.0.0.1"];
    assert(expected.includes(getLocalIp()), `${getLocalIp()} of ${own}`);
  },
});

/** What `getLocalIp()` gives on a machine that has these addresses. */
function localIpWith(addresses: string[]): string {
  const name = "networkInterfaces";
  const own = Object.getOwnPropertyDescriptor(Deno, name)!;
  const interfaces = addresses.map((address) => ({
    address,
    family: address.includes(":") ? "IPv6" : "IPv4",
  }));
  Object.defineProperty(Deno, name, { ...own, value: () => interfaces });
  try {
    return getLocalIp();
  } finally {
    Object.defineProperty(Deno, name, own);
  }
}

Deno.test({
  name: "getLocalIp() skips loopback, link-local and IPv6 addresses",
  permissions: { sys: ["networkInterfaces"] },
  fn() {
    const others = ["::1", "127.0.0.1", "127.1.2.3", "169.254.7.7", "fe80::1"];
    assertEquals(localIpWith([...others, "192.168.1.7", "10.0.0.7"]), "192.168.1.7");
    assertEquals(localIpWith(["169.253.1.1", ...others]), "169.253.1.1");
    assertEquals(localIpWith(others), "127.0.0.1");
    assertEquals(localIpWith([]), "127.0.0.1");
  },
});

Deno.test({
  name: "getLocalIp() returns 127.0.0.1 without the permission, and does not request it",
  permissions: "none",
  fn() {
    assertEquals(getLocalIp(), "127.0.0.1");
  },
});
