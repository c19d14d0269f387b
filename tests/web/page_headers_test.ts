import { assertEquals } from "@std/assert/equals";
import { pageHeaders } from "../../web/page_headers.ts";

/** The directives of the policy for a page at `host`. */
function policyAt(host: string, hashes = { scripts: ["sha256-a="], styles: ["sha256-b="] }) {
  const directives = pageHeaders(hashes, host)["Content-Security-Policy"]!.split("; ");
  return Object.fromEntries(directives.map((each) => each.split(/ (.*)/, 2)));
}

Deno.test("pageHeaders() allows the page its own script and style, and nothing else", () => {
  assertEquals(policyAt("127.0.0.1:7982"), {
    "default-src": "'none'",
    "script-src": "'self' 'sha256-a='",
    "style-src": "'sha256-b='",
    "img-src": "'self' data:",
    "connect-src": "'self' ws://127.0.0.1:7982 wss://127.0.0.1:7982",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
  });
});

Deno.test("pageHeaders() names the WebSocket of a host that a policy can name", () => {
  const socketsOf = (host: string) => policyAt(host)["connect-src"];
  assertEquals(socketsOf("relay.example"), "'self' ws://relay.example wss://relay.example");
  assertEquals(socketsOf("[::1]:7982"), "'self'");
  assertEquals(socketsOf("a; script-src *"), "'self'");
});

Deno.test("pageHeaders() allows no style where the page has none", () => {
  assertEquals(policyAt("a", { scripts: [], styles: [] })["style-src"], "'none'");
});

Deno.test("pageHeaders() hides the page from other pages", () => {
  const headers = pageHeaders({ scripts: [], styles: [] }, "a");
  assertEquals(headers["Cross-Origin-Opener-Policy"], "same-origin");
  assertEquals(headers["Referrer-Policy"], "no-referrer");
  assertEquals(headers["X-Frame-Options"], "DENY");
});
