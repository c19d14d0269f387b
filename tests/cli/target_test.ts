import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import {
  addressHint,
  couldBeName,
  isPlace,
  parsePlace,
  type RelayPlace,
} from "../../cli/target.ts";

Deno.test("isPlace() separates places from event names", () => {
  const places = ["localhost:7982", ":7982", "[::1]:7982", "[fe80::1%eth0]:1", "10.0.0.1:99999"];
  const urls = ["tcp://a:1", "tls://a:1", "unix:///a", "tcp://nonsense", "http://a:1", "WS://a"];
  for (const word of [...places, ...urls]) {
    assert(isPlace(word), word);
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
  for (const word of names) assertFalse(isPlace(word), word);
});

Deno.test("couldBeName() is true for a place that may be an event name", () => {
  for (const word of ["order:42", "a.b:1", "relay.example:7982", "_x:1"]) {
    assert(isPlace(word), word);
    assert(couldBeName(word), word);
  }
  for (const word of ["localhost:1", "127.0.0.1:1", "[::1]:1", ":1", "tcp://a:1", "order", "a:b"]) {
    assertFalse(couldBeName(word), word);
  }
});

Deno.test("addressHint() names the missing part of a place, and has no hint for names", () => {
  const cases: [word: string, advice: string][] = [
    ["localhost", "has no port; try localhost:7982"],
    ["LOCALHOST", "has no port; try LOCALHOST:7982"],
    ["127.0.0.1", "has no port; try 127.0.0.1:7982"],
    ["[::1]", "has no port; try [::1]:7982"],
    ["7982", "has no host; try localhost:7982"],
    ["::1", "needs brackets and a port, such as [::1]:7982"],
    ["fe80::1:2", "needs brackets and a port, such as [::1]:7982"],
    ["1:2:3:4:5:6:7:8", "needs brackets and a port, such as [::1]:7982"],
    ["/run/relay/socket", "is a path; put --unix before it"],
    ["./relay.sock", "is a path; put --unix before it"],
  ];
  for (const [word, advice] of cases) assertEquals(addressHint(word), advice, word);
  const names = ["localhost:1", "127.0.0.1:1", "local", "a.b.c.d", "1.2.3", "1.2.3.4.5", ""];
  for (const word of [...names, "a::b", "12:30:45", "order:42", "123456", "/sensors/a", "socket"]) {
    assertStrictEquals(addressHint(word), null, word);
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

Deno.test("parsePlace() throws with the expected form, and never shows a token", () => {
  const expected = "X must be HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, not";
  const cases: [text: string, complaint: string][] = [
    ["localhost", `${expected} "localhost"; try localhost:7982`],
    ["7982", `${expected} "7982"; try localhost:7982`],
    ["http://localhost:1", `${expected} "http://localhost:1"; try tcp://localhost:1`],
    ["nats://demo", `${expected} "nats://demo"; try tcp://demo:7982`],
    ["tcp://localhost", `${expected} "tcp://localhost"; try tcp://localhost:7982`],
    ["tls://[::1]/", `${expected} "tls://[::1]/"; try tls://[::1]:7982`],
    ["tcp://secret@", `${expected} "tcp://TOKEN@"`],
    ["tcp://se@cret@host", `${expected} "tcp://TOKEN@host"; try tcp://TOKEN@host:7982`],
    ["http://secret@host:1", `${expected} "http://TOKEN@host:1"; try tcp://TOKEN@host:1`],
    ["unix://relative", `${expected} "unix://relative"`],
    ["tcp://host:1/path", `${expected} "tcp://host:1/path"`],
    ["\x1b:x", `${expected} "\\u001b:x"`],
    ["host:0", "X must have a port from 1 to 65535, not 0"],
    ["tls://host:65536", "X must have a port from 1 to 65535, not 65536"],
    ["tcp://%zz@host:1", "X has a token with an invalid % escape; write % as %25"],
  ];
  for (const [text, complaint] of cases) {
    const { message } = assertThrows(() => parsePlace(text, "X"), UsageError);
    assertEquals(message, complaint, text);
  }
});
