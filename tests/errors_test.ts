import { assertEquals } from "@std/assert/equals";
import {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventSchemaError,
  FramingError,
} from "../errors.ts";

Deno.test("EbsocketError has a code, a message, a cause and its own name", () => {
  const cause = new Deno.errors.ConnectionReset("gone");
  const error = new EbsocketError("some-code", "Cannot do it", { cause });
  assertEquals(error instanceof Error, true);
  assertEquals([error.name, error.code, error.message], [
    "EbsocketError",
    "some-code",
    "Cannot do it",
  ]);
  assertEquals(error.cause === cause, true);
  assertEquals("cause" in new EbsocketError("some-code", "Cannot do it"), false);
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
    assertEquals(error instanceof EbsocketError, true, name);
    assertEquals([error.name, error.code, error.message], [name, code, "x"]);
    assertEquals(`${error}`, `${name}: x`);
  }
});

Deno.test("EbsocketError can be extended, and the new class gives its name", () => {
  class QuotaError extends EbsocketError {}
  assertEquals(new QuotaError("quota", "x").name, "QuotaError");
});

Deno.test("ConnectError keeps what the operating system said", () => {
  const cause = new Deno.errors.ConnectionRefused("refused");
  assertEquals(new ConnectError("x", { cause }).cause === cause, true);
});

Deno.test("EventSchemaError says which event does not fit, and what of it", () => {
  const { event, issues } = new EventSchemaError("x", "message", ["content: Required"]);
  assertEquals([event, issues], ["message", ["content: Required"]]);
});
