// Each attack on a local program through a browser is refused, and each way in stays open.

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import fc from "fast-check";
import type { HttpRequest } from "../../protocol/http.ts";
import { checkWebOptions, type WebOptions } from "../../web/options.ts";
import { WebPolicy, type WebRoute } from "../../web/policy.ts";
import { readHead, requestFor } from "../support/http.ts";
import { fuzzRuns } from "../support/lines.ts";

const ROUTES: readonly WebRoute[] = ["page", "client", "socket", "events", "metrics", "health"];

/** All routes whose answers are for the relay's own page. */
const OWN_ROUTES = ROUTES.filter((route) => route !== "client");

function policyOf(options: WebOptions, isTls = false): WebPolicy {
  return new WebPolicy(checkWebOptions(options, isTls));
}

/** The decision in short: `permitted`, or the cause of the refusal. */
function decide(route: WebRoute, fields: string[], options: WebOptions = {}, isTls = false) {
  const result = policyOf(options, isTls).check(requestFor("/", ...fields), route);
  return result.kind === "permitted" ? "permitted" : result.cause;
}

/** The sentence with which a request is refused. */
function refusal(route: WebRoute, fields: string[], options: WebOptions = {}): string {
  const result = policyOf(options).check(requestFor("/", ...fields), route);
  if (result.kind !== "refused") throw new Error(`Let in: ${fields}`);
  assertEquals(result.fault.status, 403);
  return result.fault.message;
}

/** The fields of the answer to a request that is let in. */
function answerHeaders(route: WebRoute, fields: string[], options: WebOptions = {}) {
  const result = policyOf(options).check(requestFor("/", ...fields), route);
  if (result.kind !== "permitted") throw new Error(result.fault.message);
  return result.headers;
}

/** The fields of a subresource, navigation or frame that another site loads. */
function fetched(site: string, mode: string, dest: string): string[] {
  return [`Sec-Fetch-Site: ${site}`, `Sec-Fetch-Mode: ${mode}`, `Sec-Fetch-Dest: ${dest}`];
}

Deno.test("a request without any field of a browser is let in on every route", () => {
  for (const route of ROUTES) assertEquals(decide(route, []), "permitted");
});

Deno.test("an IP address, localhost and names below localhost are known hosts", () => {
  const hosts = [
    "127.0.0.1:7982",
    "192.168.1.7",
    "[::1]:7982",
    "[fe80::1]",
    "0.0.0.0:7982",
    "localhost",
    "LOCALHOST:7982",
    "localhost.:7982",
    "chat.localhost:7982",
  ];
  for (const host of hosts) assertEquals(decide("page", [`Host: ${host}`]), "permitted", host);
});

Deno.test("a name that was rebound to this machine is refused on every route", () => {
  const hosts = [
    "evil.example",
    "evil.example:7982",
    "localhost.evil.example",
    "localhost.evil.example:7982",
    "127.0.0.1.nip.example",
    "notlocalhost",
    "relay",
    "evil.example.",
    "localhost..",
  ];
  for (const host of hosts) {
    for (const route of ROUTES) assertEquals(decide(route, [`Host: ${host}`]), "host", host);
  }
});

Deno.test("a rebound name is refused although its page has the same origin", () => {
  const fields = ["Host: evil.example:7982", "Origin: http://evil.example:7982"];
  for (const route of ROUTES) {
    assertEquals(decide(route, [...fields, "Sec-Fetch-Site: same-origin"]), "host");
  }
});

Deno.test("the refusal of a host names the host, what is expected, and the flag", () => {
  assertMatch(
    refusal("page", ["Host: relay.example:7982"]),
    /^Host "relay\.example:7982" .*localhost.*--web-host NAME.*web\.hosts/,
  );
});

Deno.test("a listed host is let in, in any case, with any port and with a dot at its end", () => {
  const options = { hosts: ["Relay.Example", "10.0.0.1"] };
  for (const host of ["relay.example", "RELAY.example:7982", "relay.example.:80", "10.0.0.1"]) {
    assertEquals(decide("page", [`Host: ${host}`], options), "permitted", host);
  }
  for (const host of ["a.relay.example", "elay.example", "relay.example.evil.example"]) {
    assertEquals(decide("page", [`Host: ${host}`], options), "host", host);
  }
});

Deno.test("a request without a host is let in for its health alone", () => {
  const request = readHead("GET / HTTP/1.0") as HttpRequest;
  const policy = policyOf({});
  const permitted = ROUTES.filter((route) => policy.check(request, route).kind === "permitted");
  assertEquals(permitted, ["health"]);
});

Deno.test("the relay's own page is let in on every route", () => {
  const pages: [host: string, origin: string][] = [
    ["127.0.0.1:7982", "http://127.0.0.1:7982"],
    ["[::1]:7982", "http://[::1]:7982"],
    ["[0:0:0:0:0:0:0:1]:7982", "http://[::1]:7982"],
    ["localhost:7982", "http://localhost:7982"],
    ["localhost", "http://localhost"],
    ["localhost:80", "http://localhost"],
    ["LocalHost:7982", "http://localhost:7982"],
    ["localhost.:7982", "http://localhost.:7982"],
  ];
  for (const [host, origin] of pages) {
    const fields = [`Host: ${host}`, `Origin: ${origin}`, "Sec-Fetch-Site: same-origin"];
    for (const route of ROUTES) assertEquals(decide(route, fields), "permitted", origin);
  }
});

Deno.test("a page of another origin is refused on every route but that of the client", () => {
  const origins = [
    "https://evil.example",
    "http://evil.example:7982",
    "http://127.0.0.1",
    "http://127.0.0.1:7983",
    "http://127.0.0.2:7982",
    "http://localhost:7982",
    "http://[::1]:7982",
    "http://127.0.0.1.:7982.evil.example",
    "http://127.0.0.1:7982.evil.example",
    "http://127.0.0.1:7982@evil.example",
    "http://evil.example#127.0.0.1:7982",
    "http://evil.example/127.0.0.1:7982",
    "http://user@127.0.0.1:7982",
    "http://127.0.0.1:7982/",
    "http://127.0.0.1:7982, http://127.0.0.1:7982",
    "ws://127.0.0.1:7982",
    "127.0.0.1:7982",
    "*",
    "",
  ];
  for (const origin of origins) {
    for (const route of OWN_ROUTES) {
      assertEquals(decide(route, [`Origin: ${origin}`]), "origin", origin);
    }
    assertEquals(decide("client", [`Origin: ${origin}`]), "permitted");
  }
});

Deno.test("a page that hides its origin is refused, and so are files and extensions", () => {
  const origins = ["null", "file://", "chrome-extension://abcdefgh", "moz-extension://1-2"];
  for (const origin of origins) {
    for (const route of OWN_ROUTES) {
      assertEquals(decide(route, [`Origin: ${origin}`]), "origin", origin);
    }
    assertEquals(decide("socket", [`Origin: ${origin}`], { origins: [origin] }), "permitted");
  }
  assertEquals(decide("socket", ["Origin: null"], { origins: ["file://"] }), "origin");
});

Deno.test("the refusal of a page names the origin, what is expected, and the flag", () => {
  assertMatch(
    refusal("socket", ["Origin: https://a.example\u202e"]),
    /^Origin "https:\/\/a\.example\\u202e" .*--web-origin ORIGIN.*web\.origins/,
  );
});

Deno.test("a listed origin is let in exactly, from whatever site", () => {
  const options = { origins: ["https://Chat.Example:443", "http://localhost:5173"] };
  const fields = (
    origin: string,
  ) => [`Origin: ${origin}`, ...fetched("cross-site", "cors", "empty")];
  for (const origin of ["https://chat.example", "http://localhost:5173"]) {
    for (const route of ROUTES) {
      assertEquals(decide(route, fields(origin), options), "permitted", origin);
    }
  }
  const others = [
    "http://chat.example",
    "https://chat.example:444",
    "https://a.chat.example",
    "https://chat.example.evil.example",
    "https://chat.example.",
    "http://localhost",
  ];
  for (const origin of others) {
    assertEquals(decide("socket", fields(origin), options), "origin", origin);
  }
});

Deno.test("a listed origin does not make up for an unknown host", () => {
  const fields = ["Host: evil.example", "Origin: https://chat.example"];
  assertEquals(decide("socket", fields, { origins: ["https://chat.example"] }), "host");
});

Deno.test("an image, a script or a style of another site is refused, although it has no origin", () => {
  for (const site of ["cross-site", "same-site", "Cross-Site", "", "none, none"]) {
    for (const dest of ["image", "script", "style", "empty", "audio", "worker"]) {
      for (const route of OWN_ROUTES) {
        assertEquals(decide(route, fetched(site, "no-cors", dest)), "origin", `${site} ${dest}`);
      }
    }
  }
  assertMatch(refusal("events", ["Sec-Fetch-Site: same-site"]), /^Sec-Fetch-Site "same-site" may/);
});

Deno.test("the script of the client is let in from any site", () => {
  for (const mode of ["cors", "no-cors"]) {
    assertEquals(decide("client", fetched("cross-site", mode, "script")), "permitted");
  }
});

Deno.test("a page of the same host and of another scheme is refused", () => {
  const fields = [
    "Host: relay.example",
    "Origin: http://relay.example",
    "Sec-Fetch-Site: cross-site",
  ];
  assertEquals(decide("socket", fields, { hosts: ["relay.example"] }), "origin");
});

Deno.test("an address that a person has typed is let in", () => {
  for (const route of ROUTES) {
    assertEquals(decide(route, fetched("none", "navigate", "document")), "permitted");
  }
});

Deno.test("a link on any page leads to what a person can read, and to nothing else", () => {
  for (const site of ["cross-site", "same-site"]) {
    const permitted = OWN_ROUTES.filter((route) =>
      decide(route, fetched(site, "navigate", "document")) === "permitted"
    );
    assertEquals(permitted, ["page", "metrics", "health"]);
    assertEquals(decide("page", fetched(site, "no-cors", "document")), "origin");
  }
  const head = readHead(
    "HEAD / HTTP/1.1",
    "Host: 127.0.0.1",
    ...fetched("cross-site", "navigate", "document"),
  ) as HttpRequest;
  assertEquals(policyOf({}).check(head, "page").kind, "refused");
});

Deno.test("the page is not shown within another page", () => {
  for (const dest of ["iframe", "frame", "embed", "object", "fencedframe"]) {
    assertEquals(decide("page", fetched("cross-site", "navigate", dest)), "origin");
    assertEquals(decide("page", fetched("same-origin", "navigate", dest)), "origin");
    assertEquals(decide("metrics", fetched("cross-site", "navigate", dest)), "origin");
  }
});

Deno.test("a relay with TLS has pages with https alone", () => {
  const check = (origin: string, hosts: string[] = []) =>
    decide("socket", ["Host: localhost:7982", `Origin: ${origin}`], { hosts }, true);
  assertEquals(check("https://localhost:7982"), "permitted");
  assertEquals(check("http://localhost:7982"), "origin");
  assertEquals(check("http://localhost:7982", ["localhost"]), "origin");
  const fields = ["Host: localhost", "Origin: https://localhost"];
  assertEquals(decide("socket", fields, {}, true), "permitted");
  assertEquals(decide("socket", fields), "origin");
});

Deno.test("a listed host may be that of a proxy with TLS", () => {
  const check = (host: string, origin: string) =>
    decide("socket", [`Host: ${host}`, `Origin: ${origin}`], { hosts: ["relay.example"] });
  assertEquals(check("relay.example", "https://relay.example"), "permitted");
  assertEquals(check("relay.example:443", "https://relay.example"), "permitted");
  assertEquals(check("relay.example:8443", "https://relay.example:8443"), "permitted");
  assertEquals(check("relay.example", "http://relay.example"), "permitted");
  assertEquals(check("relay.example", "https://relay.example:8443"), "origin");
  assertEquals(check("relay.example:80", "https://relay.example"), "origin");
  assertEquals(check("127.0.0.1", "https://127.0.0.1"), "origin");
});

Deno.test("a proxy that hides the name is refused", () => {
  const proxyFields = [
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Host: relay.example",
    "Forwarded: for=192.0.2.1",
    "Via: 1.1 proxy",
    "X-Real-IP: 192.0.2.1",
  ];
  for (const field of proxyFields) {
    for (const route of ROUTES) {
      for (const host of ["127.0.0.1:7982", "localhost"]) {
        const fields = [`Host: ${host}`, field];
        assertEquals(decide(route, fields, { hosts: ["relay.example"] }), "host", field);
      }
    }
  }
  assertMatch(
    refusal("page", ["X-Forwarded-For: 192.0.2.1"]),
    /"x-forwarded-for" with Host "127\.0\.0\.1:7982".*--web-host NAME/,
  );
});

Deno.test("a proxy that passes a listed host on is let in", () => {
  const options = { hosts: ["relay.example"] };
  const proxyFields = [
    ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: relay.example"],
    ["X-Forwarded-Host: relay.example:443, Relay.Example"],
    ["X-Forwarded-Host: 192.0.2.7"],
    ['Forwarded: for="[2001:db8::1]";host="relay.example:443";proto=https, for=192.0.2.1'],
    ["Via: 1.1 proxy"],
  ];
  for (const fields of proxyFields) {
    assertEquals(decide("page", ["Host: relay.example", ...fields], options), "permitted");
  }
});

Deno.test("a proxy that replaces a rebound name by a listed host is refused", () => {
  const proxyFields = [
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Host: relay.example, evil.example",
    "X-Forwarded-Host: a b",
    "X-Original-Host: evil.example",
    "Forwarded: for=192.0.2.1;host=evil.example",
    'Forwarded: host=relay.example, Host="evil.example:80"',
    "Forwarded: host=",
  ];
  for (const field of proxyFields) {
    const fields = ["Host: relay.example", field];
    assertEquals(decide("page", fields, { hosts: ["relay.example"] }), "host", field);
  }
});

Deno.test("any site may use the script of the client, and no other content", () => {
  for (const route of ROUTES) {
    const headers = answerHeaders(route, []);
    const isOpen = route === "client";
    assertEquals(headers["Access-Control-Allow-Origin"], isOpen ? "*" : undefined);
    assertEquals(headers["Cross-Origin-Resource-Policy"], isOpen ? "cross-origin" : "same-origin");
  }
});

Deno.test("a page of a listed origin may read what it asks for", () => {
  const origins = ["https://chat.example"];
  const headers = answerHeaders("events", ["Origin: https://chat.example"], { origins });
  assertEquals(headers["Access-Control-Allow-Origin"], "https://chat.example");
  assertEquals(headers["Vary"], "Origin");
});

/** Requests with fields near the rules. */
const nearRequest = fc.record({
  "Host": fc.constantFrom("127.0.0.1:7982", "localhost", "evil.example", "relay.example:443"),
  "Origin": fc.oneof(
    fc.constantFrom(
      "http://127.0.0.1:7982",
      "https://evil.example",
      "null",
      "https://relay.example",
    ),
    fc.webUrl(),
    fc.string({ unit: fc.constantFrom(..."htps:/.@[]#?%é127,* "), maxLength: 20 }),
  ),
  "Sec-Fetch-Site": fc.constantFrom("same-origin", "none", "same-site", "cross-site", "x"),
  "Sec-Fetch-Mode": fc.constantFrom("navigate", "cors", "no-cors", "websocket"),
  "Sec-Fetch-Dest": fc.constantFrom("document", "iframe", "empty", "image"),
  "X-Forwarded-Host": fc.oneof(fc.constantFrom("evil.example", "relay.example"), fc.domain()),
  "Forwarded": fc.string({ unit: fc.constantFrom(...'host=;," \tfor.a'), maxLength: 20 }),
}, { requiredKeys: ["Host"] });

Deno.test("WebPolicy decides about any request, and never throws", () => {
  const policy = policyOf({ hosts: ["relay.example"], origins: ["https://relay.example"] });
  fc.assert(
    fc.property(nearRequest, fc.constantFrom(...ROUTES), (fields, route) => {
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
      const result = policy.check(requestFor("/", ...lines), route);
      if (result.kind === "refused") assertMatch(result.fault.message, /^[A-Z][^\n\r\0]+[^.]$/);
      else if (fields.Host === "evil.example") throw new Error("A rebound name came in");
      else if (route === "socket" && fields.Origin !== undefined) {
        assertMatch(fields.Origin, /^(?:http:\/\/127\.0\.0\.1:7982|https:\/\/relay\.example)$/);
      }
    }),
    { numRuns: fuzzRuns(1000) },
  );
});
