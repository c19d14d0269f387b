import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import { isBareHost, isPlace, parsePlace, type RelayPlace } from "../../cli/place.ts";

Deno.test("isPlace() tells a place from the name of an event", () => {
  const places = ["localhost:7982", ":7982", "[::1]:7982", "[fe80::1%eth0]:1", "10.0.0.1:99999"];
  const urls = ["tcp://a:1", "tls://a:1", "unix:///a", "tcp://nonsense", "http://a:1", "WS://a"];
  for (const word of [...places, ...urls]) {
    assertEquals(isPlace(word), true, word);
  }
  const names = [
    "message",
    "a.*",
    "a:b",
    "::1",
    "a.*:5",
    "a:=1",
    "a=b:1",
    "://a",
    "a b:1",
    "",
  ];
  for (const word of names) assertEquals(isPlace(word), false, word);
});

Deno.test("isBareHost() tells a host without a port from the name of an event", () => {
  for (const word of ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"]) {
    assertEquals(isBareHost(word), true, word);
  }
  for (const word of ["localhost:1", "127.0.0.1:1", "local", "a.b.c.d", "1.2.3", "1.2.3.4.5", ""]) {
    assertEquals(isBareHost(word), false, word);
  }
});

Deno.test("parsePlace() reads every way to name a relay", () => {
  const plain = { tls: false, token: null };
  const cases: [text: string, place: RelayPlace][] = [
    ["localhost:7982", { ...plain, where: ["localhost", 7982] }],
    [":1", { ...plain, where: ["127.0.0.1", 1] }],
    ["[::1]:65535", { ...plain, where: ["::1", 65_535] }],
    ["[fe80::1%eth0]:1", { ...plain, where: ["fe80::1%eth0", 1] }],
    ["tcp://host:2", { ...plain, where: ["host", 2] }],
    ["tcp://host:2/", { ...plain, where: ["host", 2] }],
    ["tcp://secret@host:2", { ...plain, where: ["host", 2], token: "secret" }],
    ["tls://s%40e:cret@[::1]:2", { where: ["::1", 2], tls: true, token: "s@e:cret" }],
    ["tls://:2", { where: ["127.0.0.1", 2], tls: true, token: null }],
    ["unix:///run/my relay", { ...plain, where: { path: "/run/my relay" } }],
  ];
  for (const [text, place] of cases) assertEquals(parsePlace(text, "HOST:PORT"), place, text);
});

Deno.test("parsePlace() says what it expects, and never shows a token", () => {
  const expected = "X must be HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, not";
  const cases: [text: string, complaint: string][] = [
    ["localhost", `${expected} "localhost"`],
    ["http://localhost:1", `${expected} "http://localhost:1"`],
    ["tcp://localhost", `${expected} "tcp://localhost"`],
    ["tcp://secret@", `${expected} "tcp://TOKEN@"`],
    ["tcp://se@cret@host", `${expected} "tcp://TOKEN@host"`],
    ["http://secret@host:1", `${expected} "http://TOKEN@host:1"`],
    ["unix://relative", `${expected} "unix://relative"`],
    ["tcp://host:1/path", `${expected} "tcp://host:1/path"`],
    ["\x1b:x", `${expected} "\\u001b:x"`],
    ["host:0", "X must have a port from 1 to 65535, not 0"],
    ["tls://host:65536", "X must have a port from 1 to 65535, not 65536"],
    ["tcp://%zz@host:1", "X has a token in which % does not begin a character such as %40"],
  ];
  for (const [text, complaint] of cases) {
    const { message } = assertThrows(() => parsePlace(text, "X"), UsageError);
    assertEquals(message, complaint, text);
  }
});
