import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { type HttpFault, type HttpRequest, RequestHead } from "../../protocol/http.ts";
import { asksForUpgrade, checkUpgrade, UPGRADE_REQUIRED } from "../../protocol/upgrade.ts";
import { utf8 } from "../support/bytes.ts";
import { readHead, requestFor } from "../support/http.ts";

/** The fields of a handshake by name, with the key of RFC 6455, section 1.3. */
const HANDSHAKE: Readonly<Record<string, string>> = {
  "Upgrade": "websocket",
  "Connection": "Upgrade",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** The lines of a handshake, changed by these fields. An empty text leaves the field out. */
function fieldsWith(changes: Record<string, string> = {}): string[] {
  return Object.entries({ ...HANDSHAKE, ...changes })
    .filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}`);
}

/** The fault of a handshake that is changed by these fields. */
function faultWith(changes: Record<string, string>): HttpFault {
  const result = checkUpgrade(requestFor("/ws", ...fieldsWith(changes)));
  if (result.kind !== "fault") throw new Error(`No fault with ${JSON.stringify(changes)}`);
  return result;
}

Deno.test("checkUpgrade() returns the key of a valid handshake", () => {
  assertEquals(checkUpgrade(requestFor("/ws", ...fieldsWith())), {
    kind: "upgrade",
    key: "dGhlIHNhbXBsZSBub25jZQ==",
  });
});

Deno.test("checkUpgrade() reads Upgrade and Connection as lists in any case", () => {
  const lists = { Upgrade: "h2c, WebSocket", Connection: "keep-alive , UPGRADE" };
  assertEquals(checkUpgrade(requestFor("/ws", ...fieldsWith(lists))).kind, "upgrade");
});

Deno.test("checkUpgrade() ignores extensions and subprotocols", () => {
  const offers = [
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Sec-WebSocket-Protocol: mqtt, chat",
  ];
  assertEquals(checkUpgrade(requestFor("/ws", ...fieldsWith(), ...offers)).kind, "upgrade");
});

Deno.test("checkUpgrade() names the version 13 to a client of another version", () => {
  for (const version of ["", "8", "013", "13, 8", "14"]) {
    const fault = faultWith({ "Sec-WebSocket-Version": version });
    assertObjectMatch(fault, { status: 426, headers: { "Sec-WebSocket-Version": "13" } });
    assert(fault.message.includes(`${JSON.stringify(version)}: expected 13`), fault.message);
  }
});

Deno.test("checkUpgrade() refuses a key that is not 16 bytes in base64", () => {
  const keys = [
    "",
    "a",
    "dGhlIHNhbXBsZSBub25jZQ",
    "dGhlIHNhbXBsZSBub25jZQAA",
    "dGhlIHNhbXBsZSBub25j",
    "dGhlIHNhbXBsZSBub25j-_==",
  ];
  for (const key of keys) {
    const { status, message } = faultWith({ "Sec-WebSocket-Key": key });
    assertEquals(status, 400);
    assert(message.includes(`${JSON.stringify(key)}: expected 16 bytes`), message);
  }
});

Deno.test("checkUpgrade() says how a proxy passes a handshake on that lost its Upgrade", () => {
  for (const name of ["Upgrade", "Connection"]) {
    const fault = faultWith({ [name]: name === "Upgrade" ? "h2c" : "close" });
    assertObjectMatch(fault, { status: 426, headers: { Upgrade: "websocket" } });
    assertMatch(fault.message, /proxy_set_header/);
  }
  assertEquals(faultWith({ Upgrade: "" }).status, 426);
  assertEquals(faultWith({ Upgrade: "websoc\u212aet" }).status, 426);
});

Deno.test("checkUpgrade() refuses HEAD and HTTP/1.0", () => {
  for (const line of ["HEAD /ws HTTP/1.1", "GET /ws HTTP/1.0"]) {
    const request = readHead(line, "Host: a", ...fieldsWith()) as HttpRequest;
    assertObjectMatch(checkUpgrade(request), { kind: "fault", status: 400 });
  }
});

Deno.test("checkUpgrade() refuses a client that does not wait for the answer", () => {
  const head = ["GET /ws HTTP/1.1", "Host: a", ...fieldsWith(), "", "x"].join("\r\n");
  const request = new RequestHead().add(utf8(head)) as HttpRequest;
  assertObjectMatch(checkUpgrade(request), { kind: "fault", status: 400 });
});

Deno.test("asksForUpgrade() recognises a handshake, also one that lost its Upgrade", () => {
  assert(asksForUpgrade(requestFor("/", ...fieldsWith())));
  assert(asksForUpgrade(requestFor("/", ...fieldsWith({ Upgrade: "" }))));
  assert(asksForUpgrade(requestFor("/", ...fieldsWith({ "Sec-WebSocket-Key": "" }))));
  assertFalse(asksForUpgrade(requestFor("/")));
  assertFalse(asksForUpgrade(requestFor("/", "Upgrade: h2c", "Connection: Upgrade")));
});

Deno.test("UPGRADE_REQUIRED names the protocol to upgrade to", () => {
  assertObjectMatch(UPGRADE_REQUIRED, {
    status: 426,
    headers: { Upgrade: "websocket", Connection: "close, Upgrade" },
  });
});
