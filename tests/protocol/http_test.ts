import { concat } from "@std/bytes/concat";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import {
  HEAD_TOO_LONG,
  type HttpFault,
  type HttpRequest,
  listOf,
  MAX_HEAD_BYTES,
  RequestHead,
} from "../../protocol/http.ts";
import { cutAt, raw, textOf, utf8 } from "../support/bytes.ts";
import { readHead, requestFor } from "../support/http.ts";
import { fuzzRuns } from "../support/lines.ts";

const HOST = "Host: 127.0.0.1:7982";

/** The fault of a head of these lines. */
function faultOf(...lines: string[]): HttpFault {
  const result = readHead(...lines);
  if (result?.kind !== "fault") throw new Error(`No fault in ${JSON.stringify(lines)}`);
  return result;
}

/** The status and the message of a request with these fields after its Host. */
function refusalOf(...fields: string[]): string {
  const { status, message } = faultOf("GET / HTTP/1.1", HOST, ...fields);
  return `${status} ${message}`;
}

Deno.test("RequestHead reads method, path, query and fields", () => {
  const request = requestFor("/events?name=chat.%3E&name=a+b", "Accept: */*", "X-Empty:");
  assertEquals(request.method, "GET");
  assertEquals(request.path, "/events");
  assertEquals(new URLSearchParams(request.query).getAll("name"), ["chat.>", "a b"]);
  assertEquals([...request.headers], [["host", "127.0.0.1:7982"], ["accept", "*/*"], [
    "x-empty",
    "",
  ]]);
  assertEquals(request.rest.length, 0);
});

Deno.test("RequestHead leaves a path as it is written", () => {
  for (const path of ["/", "//", "/..", "/a/../b", "/%00", "/a%2fb", "/'|{}\\^`\"<>"]) {
    assertEquals(requestFor(path).path, path);
  }
  assertEquals(requestFor("/a?b?c").query, "b?c");
});

Deno.test("RequestHead reads HEAD", () => {
  const request = readHead("HEAD /healthz HTTP/1.1", HOST) as HttpRequest;
  assertEquals(request.method, "HEAD");
  assertFalse(request.isHttp10);
});

Deno.test("RequestHead reads HTTP/1.0, with and without a Host", () => {
  for (const fields of [[], [HOST]]) {
    const request = readHead("GET /healthz HTTP/1.0", ...fields) as HttpRequest;
    assert(request.isHttp10);
    assertEquals(request.headers.size, fields.length);
  }
});

Deno.test("RequestHead accepts a lone LF as the end of a line", () => {
  const request = new RequestHead().add(utf8("GET / HTTP/1.1\nHost: a\n\n")) as HttpRequest;
  assertEquals(request.headers.get("host"), "a");
});

Deno.test("RequestHead removes blanks around a value, and no other space", () => {
  const { headers } = requestFor("/", "A: \t b \t c\t ", "D:\u00a0e\u00a0");
  assertEquals(headers.get("a"), "b \t c");
  assertEquals(headers.get("d"), "\u00a0e\u00a0");
});

Deno.test("RequestHead finds names of fields in any case", () => {
  assertEquals(requestFor("/", "oRIGIN: http://a").headers.get("origin"), "http://a");
});

Deno.test("RequestHead joins a list that is in several fields", () => {
  const { headers } = requestFor(
    "/",
    "Connection: keep-alive",
    "connection: Upgrade",
    "Via: 1.1 a",
  );
  assertEquals(headers.get("connection"), "keep-alive, Upgrade");
  assertEquals(listOf(headers.get("connection")), ["keep-alive", "upgrade"]);
});

Deno.test("RequestHead passes bytes on that are not UTF-8, as a cookie may have them", () => {
  const head = raw("GET / HTTP/1.1<0d><0a>Host: a<0d><0a>Cookie: a=<ff><0d><0a><0d><0a>");
  const request = new RequestHead().add(head) as HttpRequest;
  assertEquals(request.headers.get("cookie"), "a=\ufffd");
});

Deno.test("RequestHead returns null until the empty line has come", () => {
  const head = new RequestHead();
  assertStrictEquals(head.add(utf8("GET / HTTP/1.1\r\n")), null);
  assertStrictEquals(head.add(utf8("Host: a\r\nOrigin: http://a\r\n")), null);
  assertStrictEquals(head.add(utf8("")), null);
  assertEquals(head.add(utf8("\r\n"))?.kind, "request");
});

Deno.test("RequestHead returns a fault before the head has ended", () => {
  const head = new RequestHead();
  assertEquals(head.add(utf8("PUT / HTTP/1.1\r\n"))?.kind, "fault");
});

Deno.test("RequestHead returns the bytes behind the head", () => {
  const lines = utf8("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: evil\r\n\r\n");
  const request = new RequestHead().add(lines) as HttpRequest;
  assertEquals(textOf(request.rest), "GET /b HTTP/1.1\r\nHost: evil\r\n\r\n");
  assertEquals(request.headers.get("host"), "a");
});

Deno.test("RequestHead reads no second request", () => {
  const head = new RequestHead();
  const first = head.add(utf8("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  assertStrictEquals(head.add(utf8("GET /b HTTP/1.1\r\nHost: b\r\n\r\n")), first);
});

Deno.test("RequestHead answers every method but GET and HEAD with 405 and Allow", () => {
  for (const method of ["POST", "OPTIONS", "CONNECT", "get", "G", "GETS"]) {
    const fault = faultOf(`${method} / HTTP/1.1`, HOST);
    assertEquals(fault.status, 405);
    assertEquals(fault.headers, { Allow: "GET, HEAD" });
    assertMatch(fault.message, new RegExp(`"${method}".*GET or HEAD`));
  }
});

Deno.test("RequestHead refuses a request line of any other shape", () => {
  const lines = [
    "",
    "GET",
    "GET /",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    " GET / HTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET / http/1.1",
    "GET / HTTP/1",
    "GET / HTTP/1.1\r",
    "G(T / HTTP/1.1",
  ];
  for (const line of lines) assertEquals(faultOf(line, HOST).status, 400, line);
  assertMatch(faultOf("GET /").message, /"GET \/".*"GET \/ HTTP\/1\.1"/);
});

Deno.test("RequestHead refuses other versions with 505", () => {
  for (const version of ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2"]) {
    const { status, message } = faultOf(`GET / ${version}`, HOST);
    assertEquals(status, 505);
    assertMatch(message, new RegExp(`"${version}".*HTTP/1\\.1`));
  }
});

Deno.test("RequestHead refuses a target that is not a path", () => {
  const targets = [
    "*",
    "http://127.0.0.1:7982/",
    "127.0.0.1:7982",
    "a",
    "?a",
    "/a#b",
    "/\x7f",
    "/\0",
    "/é",
  ];
  for (const target of targets) assertEquals(faultOf(`GET ${target} HTTP/1.1`, HOST).status, 400);
  assertMatch(faultOf("GET http://a/ HTTP/1.1", HOST).message, /"http:\/\/a\/".*no proxy/);
});

Deno.test("RequestHead requires one valid Host in HTTP/1.1", () => {
  assertMatch(faultOf("GET / HTTP/1.1", "A: b").message, /Host is missing/);
  assertMatch(refusalOf("Host: 127.0.0.1:7982"), /^400 Header "host" occurs twice/);
  for (const host of ["", "a b", "a,b", "user@a", "127.0.0.1:7982@evil.example", "a:99999", "/"]) {
    const { status, message } = faultOf("GET / HTTP/1.1", `Host: ${host}`);
    assertEquals(status, 400);
    assert(message.includes(`Invalid Host ${JSON.stringify(host)}`), message);
  }
});

Deno.test("RequestHead refuses a second field of those that decide about access", () => {
  const names = [
    "Origin",
    "Authorization",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Dest",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Content-Length",
    "Transfer-Encoding",
  ];
  for (const name of names) {
    assertMatch(
      refusalOf(`${name}: 0`, `${name.toUpperCase()}: 0`),
      /^400 Header ".*" occurs twice/,
    );
  }
});

Deno.test("RequestHead refuses a request with a body", () => {
  for (const length of ["1", "00", "+0", "-1", "0, 0", "0x0", ""]) {
    assertMatch(refusalOf(`Content-Length: ${length}`), /^400 .*expected Content-Length 0, got/);
  }
  for (const encoding of ["chunked", "identity", "", "gzip, chunked"]) {
    assertMatch(
      refusalOf(`Transfer-Encoding: ${encoding}`, "Content-Length: 0"),
      /^400 .*got Transfer-Encoding/,
    );
  }
  assertEquals(requestFor("/", "Content-Length: 0").path, "/");
});

Deno.test("RequestHead refuses a field that another program could read differently", () => {
  const fields = [
    "Origin : http://a",
    "Origin\t: http://a",
    "Origin http://a",
    ": a",
    " folded",
    "\tfolded",
    "Or(gin: a",
    "Sec-Web\u212aey: a",
    "Ā: a",
  ];
  for (const field of fields) assertMatch(refusalOf(field), /^400 Invalid header ".*": expected/);
});

Deno.test("RequestHead refuses control characters in a value, and shows them as escapes", () => {
  for (const char of ["\0", "\r", "\x0b", "\x1b", "\x7f"]) {
    assertMatch(refusalOf(`A: b${char}c`), /^400 Invalid header "a": .*got "\\(r|u00..)"$/);
  }
});

Deno.test("RequestHead shows no token in a fault", () => {
  const fields = [
    "Authorization : Bearer secret",
    "Authorization Bearer secret",
    "Authorization: Bearer secret\0",
    " Bearer secret",
    "\t secret",
  ];
  for (const field of fields) assertFalse(refusalOf(field).includes("secret"), field);
});

Deno.test("RequestHead shows what a peer has written as one printable line", () => {
  const { message } = faultOf("GET / HTTP/1.1\x1b[2J\u2028" + "x".repeat(1000));
  assertMatch(message, /^[\x20-\x7e…]{1,300}$/);
});

Deno.test("RequestHead refuses a head of more than 8 KiB with 431", () => {
  const start = "GET / HTTP/1.1\r\nHost: a\r\nCookie: ";
  const fits = "x".repeat(MAX_HEAD_BYTES - start.length - 4);
  const head = new RequestHead();
  assertEquals(head.add(utf8(`${start}${fits}\r\n\r\n`))?.kind, "request");
  assertEquals(head.byteCount, 8192);
  assertStrictEquals(new RequestHead().add(utf8(`${start}${fits}x\r\n\r\n`)), HEAD_TOO_LONG);
  assertEquals(HEAD_TOO_LONG.status, 431);
  assertMatch(HEAD_TOO_LONG.message, /8192 bytes.*Cookies/);
});

Deno.test("RequestHead counts the bytes of all its parts", () => {
  const head = new RequestHead();
  head.add(utf8("GET / HTTP/1.1\r\nHost: a\r\n"));
  let blocks = 0;
  while (head.add(utf8("Via: 1.1 a\r\n".repeat(10))) === null) blocks++;
  assert(blocks < 10);
  const long = new RequestHead();
  assertStrictEquals(long.add(utf8(`GET /${"a".repeat(8192)} HTTP/1.1\r\n`)), HEAD_TOO_LONG);
});

Deno.test("RequestHead refuses more than 100 fields with 431", () => {
  const fields = Array.from({ length: 99 }, (_, i) => `A${i}: b`);
  assertEquals(requestFor("/", ...fields).headers.size, 100);
  assertMatch(refusalOf(...fields, "B: c"), /^431 .*at most 100/);
  assertMatch(refusalOf(...fields, "7: c"), /^431 .*at most 100/);
});

Deno.test("RequestHead keeps no field whose name could be an integer", () => {
  const { headers } = requestFor("/", "0: a", "2048: b", "_: c", "A: d");
  assertEquals([...headers.keys()], ["host", "a"]);
});

/** Lines near the rules: mostly valid, with mistakes in all places. */
const nearHead = fc.array(
  fc.oneof(
    fc.constantFrom(
      "GET / HTTP/1.1",
      "HEAD /a?b=c HTTP/1.0",
      "Host: a",
      "Host: [::1]:1",
      "Origin: http://a",
      "Content-Length: 0",
      "Transfer-Encoding: chunked",
      "",
    ),
    fc.string({ unit: fc.constantFrom(..."GET /:\t\r\0 aé,;=7"), maxLength: 12 }),
  ),
  { maxLength: 8 },
).chain((lines) =>
  fc.constantFrom("\r\n", "\n").map((end) => utf8(lines.map((line) => line + end).join("")))
);

Deno.test("RequestHead answers any bytes, and never throws", () => {
  fc.assert(
    fc.property(fc.oneof(nearHead, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const result = new RequestHead().add(bytes);
      if (result?.kind === "fault") {
        assertMatch(result.message, /^[A-Z][^\n\r\0]+[^.]$/);
        assert(result.status >= 400 && result.status <= 505);
      }
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

Deno.test("RequestHead returns the same however its lines are divided", () => {
  fc.assert(
    fc.property(nearHead, fc.array(fc.nat(8), { maxLength: 4 }), (bytes, cuts) => {
      const ends = [...bytes.keys()].filter((i) => bytes[i] === 10).map((i) => i + 1);
      const places = [...new Set(cuts.map((i) => ends[i] ?? bytes.length))].sort((a, b) => a - b);
      const whole = new RequestHead().add(bytes);
      const head = new RequestHead();
      const parts = cutAt(bytes, places);
      let used = 0;
      let result: HttpRequest | HttpFault | null = null;
      while (result === null && used < parts.length) result = head.add(parts[used++]!);
      if (result?.kind === "request") {
        const rest = new Uint8Array(concat([result.rest, ...parts.slice(used)]));
        result = { ...result, rest };
      }
      assertEquals(result, whole);
    }),
    { numRuns: fuzzRuns(500) },
  );
});
