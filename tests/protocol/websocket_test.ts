import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { CLOSE_REASONS, type CloseReason } from "../../errors.ts";
import { acceptKey, closeCodeOf, isCloseCode, isKey } from "../../protocol/websocket.ts";

Deno.test("acceptKey() answers the key of RFC 6455 as written there", () => {
  assertEquals(acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

Deno.test("isKey() accepts 16 bytes in base64", () => {
  for (let i = 0; i < 256; i++) {
    const key = new Uint8Array(16).fill(i).toBase64();
    assert(isKey(key), key);
  }
});

Deno.test("isKey() refuses other texts", () => {
  const refused = [
    "",
    "dGhlIHNhbXBsZSBub25jZQ",
    "dGhlIHNhbXBsZSBub25jZQ=",
    "dGhlIHNhbXBsZSBub25jZQ===",
    " dGhlIHNhbXBsZSBub25jZQ==",
    "dGhlIHNhbXBsZSBub25jZQ==\n",
    "dGhlIHNhbXBsZSBub25jZ===",
    "dGhlIHNhbXBsZSBub25jZQA=",
    "dGhlIHNhbXBsZSBub25jZ_==",
    new Uint8Array(15).toBase64(),
    new Uint8Array(17).toBase64(),
  ];
  assertEquals(refused.filter(isKey), []);
});

Deno.test("closeCodeOf() returns a code that may be sent for each announced reason", () => {
  for (const [reason, { sentBy }] of Object.entries(CLOSE_REASONS)) {
    if (sentBy !== "neither") assert(isCloseCode(closeCodeOf(reason as CloseReason)), reason);
  }
});

Deno.test("closeCodeOf() returns 1000 for a regular end", () => {
  assertEquals(closeCodeOf("local"), 1000);
  assertEquals(closeCodeOf("eof"), 1000);
});

Deno.test("isCloseCode() accepts the codes that a peer may send, and no others", () => {
  const accepted = Array.from({ length: 65_536 }, (_, code) => code).filter(isCloseCode);
  const registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
  const free = Array.from({ length: 2000 }, (_, i) => 3000 + i);
  assertEquals(accepted, [...registered, ...free]);
});
