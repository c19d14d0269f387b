import { assertEquals } from "@std/assert/equals";
import { pageFields } from "../../web/page_fields.ts";

/** The directives of the policy for a page at `host`. */
function policyAt(host: string, hashes = { scripts: ["sha256-a="], styles: ["sha256-b="] }) {
  const directives = pageFields(hashes, host)["Content-Security-Policy"]!.split("; ");
  return Object.fromEntries(directives.map((each) => each.split(/ (.*)/, 2)));
}

Deno.test("pageFields() allows the page its own script and style, and nothing else", () => {
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

Deno.test("pageFields() names the WebSocket of a host that a policy can name", () => {
  const socketsOf = (host: string) => policyAt(host)["connect-src"];
  assertEquals(socketsOf("relay.example"), "'self' ws://relay.example wss://relay.example");
  assertEquals(socketsOf("[::1]:7982"), "'self'");
  assertEquals(socketsOf("a; script-src *"), "'self'");
});

Deno.test("pageFields() allows no style where the page has none", () => {
  assertEquals(policyAt("a", { scripts: [], styles: [] })["style-src"], "'none'");
});

Deno.test("pageFields() hides the page from other pages", () => {
  const fields = pageFields({ scripts: [], styles: [] }, "a");
  assertEquals(fields["Cross-Origin-Opener-Policy"], "same-origin");
  assertEquals(fields["Referrer-Policy"], "no-referrer");
  assertEquals(fields["X-Frame-Options"], "DENY");
});
