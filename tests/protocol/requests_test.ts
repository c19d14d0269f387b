import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { BlockDecoder } from "../../protocol/decoder.ts";
import {
  decodeReceipt,
  decodeRefusal,
  decodeRequest,
  encodeReceipts,
  encodeRefusal,
  encodeRequest,
} from "../../protocol/control.ts";
import { LineValidator } from "../../protocol/validator.ts";
import { textOf } from "../support/bytes.ts";

const parse = (line: Uint8Array) => JSON.parse(textOf(line));

Deno.test("encodeRequest() and decodeRequest() are each other's inverse", () => {
  const requests = [
    { control: "subscribe", events: ["chat.*", "game.>"] },
    { control: "subscribe", events: [], id: "s1" },
    { control: "unsubscribe", events: ["a"], queue: "workers", id: "s2" },
  ] as const;
  for (const request of requests) {
    assertEquals(decodeRequest(parse(encodeRequest(request))), {
      ...request,
      events: [...request.events],
    });
  }
  assertEquals(
    textOf(encodeRequest({ control: "subscribe", events: ["a"], queue: "q", id: "1" })),
    '{"control":"subscribe","events":["a"],"queue":"q","id":"1"}\n',
  );
});

Deno.test("decodeRequest() returns the fault and the id of a wrong request", () => {
  const table = [
    [{ events: "a" }, /"events" must be an array of strings/],
    [{}, /"events"/],
    [{ events: ["a", 1] }, /"events"/],
    [{ events: [], queue: 1 }, /"queue" must be a string of 1 to 255 bytes/],
    [{ events: [], queue: "" }, /"queue"/],
    [{ events: [], queue: "é".repeat(128) }, /"queue"/],
  ] as const;
  for (const [members, expected] of table) {
    const refusal = decodeRequest({ control: "subscribe", id: "s1", ...members });
    if (!refusal || !("detail" in refusal)) throw new Error("it was not refused");
    assertObjectMatch(refusal, { id: "s1", reason: "bad-request" });
    assertMatch(refusal.detail, expected);
  }
  const nameless = decodeRequest({ control: "subscribe", events: [], id: 7 });
  assertEquals(nameless, {
    reason: "bad-request",
    detail: '"id" must be a string of 1 to 255 bytes',
  });
  assertStrictEquals(decodeRequest({ control: "hello" }), null);
});

Deno.test("decodeRequest() reads a request for stats, and refuses an invalid ID", () => {
  for (const request of [{ control: "stats" }, { control: "stats", id: "i1" }] as const) {
    assertEquals(decodeRequest(parse(encodeRequest(request))), request);
  }
  assertEquals(decodeRequest({ control: "stats", id: "" }), {
    reason: "bad-request",
    detail: '"id" must be a string of 1 to 255 bytes',
  });
});

Deno.test("encodeReceipts() and decodeReceipt() are each other's inverse", () => {
  for (const receipt of [{ id: "s1" }, { id: "e5", clients: 3 }, { id: "r1", clients: 0 }]) {
    assertEquals(decodeReceipt(parse(encodeReceipts([receipt]))), receipt);
  }
  assertEquals(
    textOf(encodeReceipts([{ id: "r1", clients: 0 }])),
    '{"control":"ack","id":"r1","clients":0}\n',
  );
  for (
    const line of [{ control: "ack", events: 3 }, { control: "ack", id: 3 }, {
      control: "x",
      id: "a",
    }]
  ) {
    assertStrictEquals(decodeReceipt(line), null);
  }
  for (const clients of [-1, 0.5, "3", null]) {
    assertEquals(decodeReceipt({ control: "ack", id: "a", clients }), { id: "a" });
  }
});

Deno.test("encodeRefusal() and decodeRefusal() are each other's inverse", () => {
  const refusal = { id: "s1", event: "chat", reason: "bad-attributes", detail: "why" };
  const line = encodeRefusal(refusal);
  assertEquals(decodeRefusal(parse(line)), refusal);
  const isControlLine = new BlockDecoder().decode(line).length === 1;
  assert(isControlLine); // which may not be an event as well
  const short = { reason: "bad-pattern", detail: "why" };
  assertEquals(decodeRefusal(parse(encodeRefusal(short))), short);
  assertStrictEquals(decodeRefusal({ control: "ack" }), null);
});

Deno.test("decodeRefusal() trusts nothing in the line", () => {
  const hostile = {
    control: "error",
    id: {},
    name: [],
    reason: "\x1b[2J",
    detail: "\x1b" + "x".repeat(9999),
  };
  const refusal = decodeRefusal(hostile)!;
  assertStrictEquals(refusal.id, undefined);
  assertStrictEquals(refusal.event, undefined);
  assertEquals(refusal.reason, "\\u001b[2J");
  assert(refusal.detail.startsWith("\\u001bxxx"));
  assertLess(refusal.detail.length, 1000);
  assertEquals(decodeRefusal({ control: "error", reason: 1, detail: 2 }), {
    reason: "unknown",
    detail: "",
  });
});

Deno.test("decodeRefusal() reads reasons that only a client can have as unknown", () => {
  for (const reason of ["timeout", "queue-full", "connection-closed", "not-supported"]) {
    const refusal = decodeRefusal({ control: "error", id: "s1", reason, detail: "why" })!;
    assertEquals(refusal.reason, "unknown");
    assertEquals(refusal.detail, `the relay gave the reason "${reason}": why`);
  }
  assertEquals(decodeRefusal({ control: "error", reason: "new" })?.reason, "new");
});

Deno.test("encodeRefusal() and the others make lines that are control lines", () => {
  const lines = [
    encodeRequest({ control: "subscribe", events: ["a"], queue: "q", id: "1" }),
    encodeReceipts([{ id: "1", clients: 1 }]),
    encodeRefusal({ id: "1", event: "chat", reason: "bad-attributes", detail: "why" }),
  ];
  for (const line of lines) {
    assertEquals(new LineValidator().open(line).validate(0), "control");
  }
});
