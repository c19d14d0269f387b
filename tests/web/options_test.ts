import { assert } from "@std/assert/assert";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { checkWebOptions, type WebOptions } from "../../web/options.ts";

Deno.test("checkWebOptions() throws a TypeError that names an invalid origin", () => {
  const origins: unknown[] = [
    "",
    "*",
    "chat.example",
    "https://",
    "https://chat.example//",
    "https://chat.example/path",
    "https://*.chat.example",
    "https://user@chat.example",
    "https://chat.example:99999",
    "wss://chat.example",
    "chrome-extension://abc/x",
    "NULL ",
    undefined,
    7,
  ];
  for (const origin of origins) {
    const options = { origins: [origin] } as WebOptions;
    const { message } = assertThrows(() => checkWebOptions(options, false), TypeError);
    assertMatch(message, /^Invalid web\.origins: expected .*"https:\/\/chat\.example".*, got /);
  }
  assertThrows(() => checkWebOptions({ origins: [""] }, false), TypeError, 'got ""');
});

Deno.test("checkWebOptions() accepts an origin with the slash of an address bar", () => {
  const { origins } = checkWebOptions({ origins: ["http://localhost:8000/"] }, false);
  assert(origins.has("http://localhost:8000"));
});

Deno.test("checkWebOptions() throws a TypeError that names an invalid host", () => {
  const hosts: unknown[] = [
    "",
    "*",
    ".",
    ".relay.example",
    "*.relay.example",
    "relay.example:443",
    "http://relay.example",
    "relay.example/",
    "a b",
    undefined,
  ];
  for (const host of hosts) {
    const options = { hosts: [host] } as WebOptions;
    const { message } = assertThrows(() => checkWebOptions(options, false), TypeError);
    assertMatch(message, /^Invalid web\.hosts: expected a host name.*, got /);
  }
  assertThrows(() => checkWebOptions({ hosts: ["a:1"] }, false), TypeError, 'got "a:1"');
});

Deno.test("checkWebOptions() throws a TypeError for lists that are none", () => {
  for (const value of ["https://chat.example", null, {}]) {
    const origins = { origins: value } as unknown as WebOptions;
    assertThrows(() => checkWebOptions(origins, false), TypeError, "web.origins");
    const hosts = { hosts: value } as unknown as WebOptions;
    assertThrows(() => checkWebOptions(hosts, false), TypeError, "web.hosts");
  }
});
