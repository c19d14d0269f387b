import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { checkClientOptions, type ClientOptions } from "../../client/options.ts";

Deno.test("checkClientOptions() neither reconnects nor asks for anything by default", () => {
  const { persistence, wantsAcks, wantsSequence, token, tls } = checkClientOptions({});
  assertEquals([persistence, wantsAcks, wantsSequence], [null, false, false]);
  assertEquals([token, tls], [undefined, undefined]);
});

Deno.test("checkClientOptions() asks for acknowledgements where a client reconnects", () => {
  for (const reconnect of [true, {}]) {
    const { persistence, wantsAcks } = checkClientOptions({ reconnect });
    assertEquals([persistence?.minDelay, wantsAcks], [500, true]);
  }
  assertEquals(checkClientOptions({ reconnect: { attempts: 3 } }).persistence?.attempts, 3);
});

Deno.test("checkClientOptions() refuses a token or TLS option that is there without a value", () => {
  for (const value of [undefined, null]) {
    const got = `: expected a value, got ${value}`;
    for (const name of ["token", "tls"]) {
      const options = { [name]: value } as ClientOptions;
      assertThrows(() => checkClientOptions(options), TypeError, `Invalid ${name}${got}`);
    }
    for (const name of ["caCerts", "cert", "key", "hostname"]) {
      const options = { tls: { [name]: value } } as ClientOptions;
      assertThrows(() => checkClientOptions(options), TypeError, `Invalid tls.${name}${got}`);
    }
  }
});

Deno.test("checkClientOptions() names an option of the wrong type", () => {
  for (const reconnect of ["yes", 1, null]) {
    const options = { reconnect } as unknown as ClientOptions;
    assertThrows(() => checkClientOptions(options), TypeError, "Invalid reconnect: expected true,");
  }
  const options = { tls: "yes" } as unknown as ClientOptions;
  assertThrows(() => checkClientOptions(options), TypeError, "Invalid tls: expected true or");
});
