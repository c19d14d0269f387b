import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { foreignProtocol, HTTP_ANSWER } from "../../protocol/sniff.ts";
import { textOf, utf8 } from "../support/bytes.ts";

Deno.test("foreignProtocol() recognises the first line of an HTTP request", () => {
  for (const line of ["GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"]) {
    assertEquals(foreignProtocol(utf8(line)), "HTTP");
  }
  assertEquals(foreignProtocol(utf8("POST http://localhost:7982/x?y=z HTTP/1.0\n")), "HTTP");
});

Deno.test("foreignProtocol() recognises the beginning of a TLS handshake", () => {
  assertEquals(foreignProtocol(new Uint8Array([0x16, 0x03, 0x01, 0x02, 0x00, 0x0a])), "TLS");
});

Deno.test("foreignProtocol() recognises nothing else", () => {
  const lines = [
    "",
    "\n",
    "GET\n",
    '{"event":"GET / HTTP/1.1"}\n',
    "get / HTTP/1.1\n",
    "SSH-2.0-x\n",
  ];
  for (const line of [...lines, "GET " + "x".repeat(5000) + " HTTP/1.1\n", "\x16"]) {
    assertStrictEquals(foreignProtocol(utf8(line)), null);
  }
});

Deno.test("HTTP_ANSWER has one line of text and the correct length", () => {
  const [head, body] = textOf(HTTP_ANSWER).split("\r\n\r\n");
  assertEquals(head!.split("\r\n")[0], "HTTP/1.1 400 Bad Request");
  assertEquals(/Content-Length: (\d+)/.exec(head!)?.[1], `${body!.length}`);
  assertEquals(body!.indexOf("\n"), body!.length - 1);
});
