import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertStrictEquals } from "@std/assert/strict-equals";
import {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventSchemaError,
  FramingError,
  isFailure,
} from "../errors.ts";

Deno.test("EbsocketError has a code, a message, a cause and its own name", () => {
  const cause = new Deno.errors.ConnectionReset("gone");
  const error = new EbsocketError("some-code", "Cannot do it", { cause });
  assertInstanceOf(error, Error);
  assertEquals(error.name, "EbsocketError");
  assertEquals(error.code, "some-code");
  assertEquals(error.message, "Cannot do it");
  assertStrictEquals(error.cause, cause);
  assertFalse("cause" in new EbsocketError("some-code", "Cannot do it"));
});

Deno.test("EbsocketError is the base of each kind of failure, and each goes by its own name", () => {
  const errors: [error: EbsocketError, name: string, code: string][] = [
    [new FramingError("truncated", "x"), "FramingError", "truncated"],
    [new FramingError("line-too-long", "x"), "FramingError", "line-too-long"],
    [new EventFormatError("bad-utf8", "x"), "EventFormatError", "bad-utf8"],
    [new EventSchemaError("x", "message", []), "EventSchemaError", "bad-attributes"],
    [new ConnectError("x"), "ConnectError", "connect-failed"],
    [new ConnectionClosedError("x"), "ConnectionClosedError", "connection-closed"],
  ];
  for (const [error, name, code] of errors) {
    assertInstanceOf(error, EbsocketError, name);
    assertEquals(error.name, name);
    assertEquals(error.code, code);
    assertEquals(error.message, "x");
    assertEquals(`${error}`, `${name}: x`);
  }
});

Deno.test("EbsocketError can be extended, and the subclass has its own name", () => {
  class QuotaError extends EbsocketError {}
  assertEquals(new QuotaError("quota", "x").name, "QuotaError");
});

Deno.test("ConnectError keeps the error of the operating system as its cause", () => {
  const cause = new Deno.errors.ConnectionRefused("refused");
  assertStrictEquals(new ConnectError("x", { cause }).cause, cause);
});

Deno.test("EventSchemaError has the event name and its issues", () => {
  const { event, issues } = new EventSchemaError("x", "message", ["content: Required"]);
  assertEquals(event, "message");
  assertEquals(issues, ["content: Required"]);
});

Deno.test("isFailure() is false for intended ends", () => {
  assertEquals((["local", "eof", "shutdown"] as const).map(isFailure), [false, false, false]);
  assertEquals((["reset", "slow-consumer"] as const).map(isFailure), [true, true]);
});
