import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import {
  checkDuration,
  checkGiven,
  checkLimit,
  checkMaxLineBytes,
  checkTimeout,
  relayedLineBytes,
} from "../../protocol/option_checks.ts";
import { ConnectionLimits } from "../../net/connection_options.ts";
import { checkReconnectOptions } from "../../client/retry.ts";

Deno.test("checkLimit() returns integers within the range", () => {
  for (const value of [3, 4, 9, 10]) assertEquals(checkLimit("size", value, 3, 10), value);
  assertEquals(checkLimit("size", 0, 0), 0);
  assertEquals(checkLimit("size", -5, -5, -5), -5);
  assertEquals(checkLimit("size", Number.MAX_SAFE_INTEGER, 1), Number.MAX_SAFE_INTEGER);
});

Deno.test("checkLimit() accepts Infinity only if there is no upper bound", () => {
  assertEquals(checkLimit("size", Infinity, 1), Infinity);
  assertThrows(() => checkLimit("size", Infinity, 1, 10), RangeError);
  assertThrows(() => checkLimit("size", -Infinity, 1), RangeError);
});

Deno.test("checkLimit() refuses all other values with the name, the range and the value", () => {
  for (const value of [2, 11, -3, 3.5, NaN, -Infinity]) {
    const { message } = assertThrows(() => checkLimit("size", value, 3, 10), RangeError);
    assertMatch(message, /\bsize\b.*\b3\b.*\b10\b/);
    assert(message.endsWith(`${value}`), message);
  }
  for (const value of [0, 0.5, NaN]) {
    const { message } = assertThrows(() => checkLimit("count", value, 1), RangeError);
    assertMatch(message, /\bcount\b.*\b1\b.*Infinity/);
    assert(message.endsWith(`${value}`), message);
  }
});

Deno.test("checkLimit() throws a TypeError for a value that is not a number", () => {
  const values: unknown[] = ["5", null, true, [5], { valueOf: () => 5 }, 5n];
  for (const value of values) {
    assertThrows(() => checkLimit("size", value as number, 3, 10), TypeError, "size");
  }
});

Deno.test("checkDuration() accepts fractions within the range, and refuses others by name", () => {
  for (const value of [1, 1.5, 20.25, 1e9]) assertEquals(checkDuration("pause", value, 1), value);
  assertEquals(checkDuration("pause", 0.001, 0, 10), 0.001);
  assertEquals(checkDuration("pause", Infinity, 1), Infinity);
  for (const value of [0.99, -1.5, NaN, -Infinity]) {
    const { message } = assertThrows(() => checkDuration("pause", value, 1), RangeError);
    const expected = "expected milliseconds of at least 1, or Infinity";
    assertEquals(message, `Invalid pause: ${expected}, got ${value}`);
  }
  assertThrows(() => checkDuration("pause", 10.5, 1, 10), RangeError, "from 1 to 10, got 10.5");
  for (const value of ["5", null, 5n] as unknown[]) {
    assertThrows(() => checkDuration("pause", value as number, 1), TypeError, "pause");
  }
});

Deno.test("checkTimeout() accepts every number but NaN", () => {
  for (const value of [1, 0.5, 0, -3.25, Infinity, -Infinity]) {
    assertEquals(checkTimeout(value), value);
  }
  assertThrows(() => checkTimeout(NaN), RangeError, "Invalid timeout: expected a number");
  assertThrows(() => checkTimeout("5" as unknown as number), TypeError, "timeout");
});

Deno.test("Durations among the options may be fractions", () => {
  const durations = {
    drainTimeout: 1.5,
    keepAliveInterval: 2.5,
    keepAliveTimeout: 3.5,
    writeTimeout: 4.5,
    lineTimeout: 5.5,
  };
  const limits: Record<string, unknown> = { ...new ConnectionLimits(durations) };
  for (const [name, value] of Object.entries(durations)) assertEquals(limits[name], value, name);
  const { minDelay, maxDelay } = checkReconnectOptions({ minDelay: 1.5, maxDelay: 2.25 });
  assertEquals(minDelay, 1.5);
  assertEquals(maxDelay, 2.25);
});

Deno.test("checkMaxLineBytes() accepts 1 byte to 1 GiB, and has 1 MiB as its default", () => {
  assertEquals(checkMaxLineBytes(), 2 ** 20);
  assertEquals(checkMaxLineBytes(undefined), 2 ** 20);
  for (const value of [1, 2, 2 ** 20, 2 ** 30]) assertEquals(checkMaxLineBytes(value), value);
  for (const value of [-1, 0, 1.5, 2 ** 30 + 1, Infinity, NaN]) {
    assertThrows(() => checkMaxLineBytes(value), RangeError, "maxLineBytes");
  }
});

Deno.test("relayedLineBytes() adds the bytes of a relay, within the range of a limit", () => {
  const past = `"past":"${"h".repeat(64)}",`;
  const added = `"seq":9007199254740991,"offset":9007199254740991,${past}`.length;
  assertGreaterOrEqual(relayedLineBytes(1), 1 + added);
  assertEquals(relayedLineBytes(2 ** 30), 2 ** 30);
});

Deno.test("checkGiven() refuses options that are there without a value, and names them", () => {
  for (const value of [undefined, null]) {
    const options: { token?: unknown; rest?: unknown } = { token: value, rest: value };
    const { message } = assertThrows(() => checkGiven(options, ["token"], "tls."), TypeError);
    assertMatch(message, new RegExp(`\\btls\\.token\\b.*\\b${value};`));
  }
});

Deno.test("checkGiven() accepts options that are left out, and any value but undefined", () => {
  checkGiven({} as { token?: string }, ["token"]);
  for (const value of ["", 0, false, NaN]) checkGiven({ token: value }, ["token"]);
});
