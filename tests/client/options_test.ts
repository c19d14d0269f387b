import { assertFalse } from "@std/assert/false";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { checkClientOptions, type ClientOptions } from "../../client/options.ts";
import { systemPort } from "../../client/system_port.ts";

Deno.test("checkClientOptions() neither reconnects nor asks for anything by default", () => {
  const { reconnect, wantsAcks, wantsSequence, token, tls } = checkClientOptions({}, systemPort);
  assertFalse(reconnect);
  assertFalse(wantsAcks);
  assertFalse(wantsSequence);
  assertStrictEquals(token, undefined);
  assertStrictEquals(tls, undefined);
});

Deno.test("checkClientOptions() asks for acknowledgements where a client reconnects", () => {
  for (const reconnect of [true, {}]) {
    const settings = checkClientOptions({ reconnect }, systemPort);
    assertObjectMatch(settings, { reconnect: { minDelay: 500 }, wantsAcks: true });
  }
  const few = checkClientOptions({ reconnect: { attempts: 3 } }, systemPort);
  assertObjectMatch(few, { reconnect: { attempts: 3 } });
});

Deno.test("checkClientOptions() refuses a token or TLS option that is there without a value", () => {
  for (const value of [undefined, null]) {
    const got = `: expected a value, got ${value}`;
    for (const name of ["token", "tls"]) {
      const options = { [name]: value } as ClientOptions;
      assertThrows(
        () => checkClientOptions(options, systemPort),
        TypeError,
        `Invalid ${name}${got}`,
      );
    }
    for (const name of ["caCerts", "cert", "key", "hostname"]) {
      const options = { tls: { [name]: value } } as ClientOptions;
      assertThrows(
        () => checkClientOptions(options, systemPort),
        TypeError,
        `Invalid tls.${name}${got}`,
      );
    }
  }
});

Deno.test("checkClientOptions() names an option of the wrong type", () => {
  for (const reconnect of ["yes", 1, null]) {
    const options = { reconnect } as unknown as ClientOptions;
    assertThrows(
      () => checkClientOptions(options, systemPort),
      TypeError,
      "Invalid reconnect: expected true,",
    );
  }
  const options = { tls: "yes" } as unknown as ClientOptions;
  assertThrows(
    () => checkClientOptions(options, systemPort),
    TypeError,
    "Invalid tls: expected true or",
  );
});
