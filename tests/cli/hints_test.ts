import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type Endpoint, explainListenError, exposureWarning, howToTry } from "../../cli/hints.ts";

const plain: Endpoint = {
  where: ["127.0.0.1", 7982],
  hasToken: false,
  hasPage: false,
  tls: "none",
};

Deno.test("howToTry() returns a command that reaches the relay", () => {
  const cases: [endpoint: Partial<Endpoint>, lines: string[]][] = [
    [{}, ["Try it: nc 127.0.0.1 7982"]],
    [{ where: ["0.0.0.0", 1] }, ["Try it: nc 127.0.0.1 1"]],
    [{ where: ["::1", 1] }, ["Try it: nc ::1 1"]],
    [{ hasPage: true }, ["Watch it: http://127.0.0.1:7982/", "Try it: nc 127.0.0.1 7982"]],
    [
      { hasPage: true, where: ["::", 1], tls: "server" },
      ["Watch it: https://127.0.0.1:1/", "Try it: openssl s_client -quiet -connect 127.0.0.1:1"],
    ],
    [{ hasPage: true, where: { path: "/run/relay" } }, ["Try it: nc -U /run/relay"]],
    [{ tls: "server" }, ["Try it: openssl s_client -quiet -connect 127.0.0.1:7982"]],
    [
      { where: ["::1", 1], tls: "mutual" },
      ["Try it: openssl s_client -quiet -connect [::1]:1 -cert CLIENT_CERT -key CLIENT_KEY"],
    ],
    [{ where: { path: "/run/relay" } }, ["Try it: nc -U /run/relay"]],
    [{ where: { path: "/my $(relay)'s\n" } }, ["Try it: nc -U '/my $(relay)'\\''s\\n'"]],
    [
      { hasToken: true },
      ["Try it: nc 127.0.0.1 7982", 'Send first: {"control":"hello","token":"TOKEN"}'],
    ],
  ];
  for (const [endpoint, lines] of cases) assertEquals(howToTry({ ...plain, ...endpoint }), lines);
});

Deno.test("exposureWarning() warns of an address that others reach and anybody may connect to", () => {
  const open = ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"];
  for (const hostname of open) {
    const where = [hostname, 7982] as const;
    assertStringIncludes(exposureWarning({ ...plain, where })!, "--token-file", hostname);
    assert(exposureWarning({ ...plain, where, tls: "server" }) !== null);
    assertStrictEquals(exposureWarning({ ...plain, where, hasToken: true }), null);
    assertStrictEquals(exposureWarning({ ...plain, where, tls: "mutual" }), null);
  }
  for (const hostname of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) {
    assertStrictEquals(exposureWarning({ ...plain, where: [hostname, 7982] }), null, hostname);
  }
  assertStrictEquals(exposureWarning({ ...plain, where: { path: "/run/relay" } }), null);
});

Deno.test("explainListenError() adds a hint", () => {
  const { AddrInUse, NotCapable, PermissionDenied, AddrNotAvailable } = Deno.errors;
  const cases: [error: unknown, onAddress: string, onPath: string][] = [
    [new AddrInUse(), "choose another with --port", "choose another with --unix"],
    [
      new NotCapable(),
      "run it with -A or --allow-net=[::1]:80",
      "run it with -A or --allow-net --allow-read=/run/ --allow-write=/run/",
    ],
    [
      new PermissionDenied("Denied"),
      "choose port 1024 or higher with --port",
      "Denied; check --unix",
    ],
    [new AddrNotAvailable("None"), "choose one of its addresses with --host", "None; check --unix"],
    [
      new TypeError("Invalid tls.key: it is not the key of tls.cert"),
      "Invalid --tls-key: it is not the key of --tls-cert",
      "Invalid tls.key: it is not the key of tls.cert; check --unix",
    ],
    [
      new Deno.errors.AlreadyExists("Cannot listen on /run/relay: it is a file, and no socket"),
      "; check --host",
      "it is a file, and no socket; check --unix",
    ],
    [new Error("\x1b"), "\\u001b; check --host", "\\u001b; check --unix"],
  ];
  for (const [error, onAddress, onPath] of cases) {
    const addressAdvice = explainListenError(error, ["::1", 80]);
    assert(addressAdvice.endsWith(onAddress), addressAdvice);
    const pathAdvice = explainListenError(error, { path: "/run/relay" });
    assert(pathAdvice.endsWith(onPath), pathAdvice);
    assertNotMatch(pathAdvice, /Cannot listen/);
  }
});
