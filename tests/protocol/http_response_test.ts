import { assertEquals } from "@std/assert/equals";
import { httpFault } from "../../protocol/http.ts";
import {
  formatFault,
  formatHead,
  formatResponse,
  formatUpgrade,
} from "../../protocol/http_response.ts";
import { textOf, utf8 } from "../support/bytes.ts";

Deno.test("formatResponse() writes the status line, the fields and the body", () => {
  const answer = formatResponse(200, { "Content-Type": "text/html" }, "<p>é");
  assertEquals(
    textOf(answer),
    "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n" +
      "Content-Type: text/html\r\nContent-Length: 5\r\n\r\n<p>é",
  );
});

Deno.test("formatResponse() takes a body of bytes", () => {
  const whole = formatResponse(200, {}, "a");
  assertEquals(formatResponse(200, {}, utf8("a")), whole);
});

Deno.test("formatResponse() gives no length with 304, which would be that of the content", () => {
  const answer = formatResponse(304, { "ETag": '"a"' }, "");
  assertEquals(
    textOf(answer),
    "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n" +
      'X-Content-Type-Options: nosniff\r\nETag: "a"\r\n\r\n',
  );
});

Deno.test("formatResponse() answers a HEAD with the head that a GET gets", () => {
  const [head] = textOf(formatResponse(200, {}, "<p>é")).split("<p>");
  assertEquals(textOf(formatResponse(200, {}, "<p>é", true)), head);
});

Deno.test("formatHead() writes no length, and replaces its own fields by those given", () => {
  assertEquals(
    textOf(formatHead(426, { "Connection": "close, Upgrade" })),
    "HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\n" +
      "X-Content-Type-Options: nosniff\r\n\r\n",
  );
});

Deno.test("formatFault() answers with one line of text that is not stored", () => {
  const answer = textOf(formatFault(httpFault(405, "No", { Allow: "GET, HEAD" })));
  assertEquals(
    answer,
    "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n" +
      "X-Content-Type-Options: nosniff\r\nContent-Type: text/plain; charset=utf-8\r\n" +
      "Cache-Control: no-store\r\nCross-Origin-Resource-Policy: same-origin\r\n" +
      "Allow: GET, HEAD\r\nContent-Length: 3\r\n\r\nNo\n",
  );
  assertEquals(textOf(formatFault(httpFault(400, "No"), true)).split("\r\n\r\n")[1], "");
});

Deno.test("formatUpgrade() answers as in RFC 6455, section 1.3", () => {
  assertEquals(
    textOf(formatUpgrade("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
  );
});
