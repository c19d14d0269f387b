// PROTOCOL.md says what the code does: its tables are read here, row by row.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { DEFAULT_HELLO_TIMEOUT, DEFAULT_MAX_TOTAL_PENDING_BYTES } from "../server/admission.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import {
  decodeAck,
  decodeClose,
  decodeHello,
  decodeRead,
  decodeReceipt,
  decodeRefusal,
  decodeRequest,
  decodeWelcome,
  encodeRequest,
} from "../protocol/control.ts";
import { decodeReplayAnswer } from "../protocol/history.ts";
import { MAX_NAME_BYTES } from "../protocol/names.ts";
import { CLOSE_REASONS, type CloseReason } from "../errors.ts";
import { LineSplitter } from "../framing.ts";
import { MAX_CONTROL_BYTES } from "../protocol/option_checks.ts";
import { faultOfPattern, matches } from "../protocol/pattern.ts";
import {
  DEFAULT_MAX_SUBSCRIPTIONS,
  DEFAULT_MAX_TOTAL_SUBSCRIPTIONS,
  MAX_QUEUES,
  MAX_WILDCARD_PLACES,
} from "../relay/subscriptions.ts";
import { MAX_BATCH_BYTES } from "../net/piece.ts";
import { DEFAULT_MAX_DEPTH, LineValidator } from "../protocol/validator.ts";
import { closeCodeOf } from "../protocol/websocket.ts";
import { raw, textOf, utf8, withNewline } from "./support/bytes.ts";
import { setUp } from "./support/ingress.ts";
import { judge } from "./support/reference.ts";

const protocol = await read("PROTOCOL.md");

async function read(name: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(`../${name}`, import.meta.url));
  return text.replaceAll("\r\n", "\n");
}

/** The text between a heading and the next one of any level. */
function section(heading: string): string {
  const start = protocol.indexOf(`\n${heading}\n`);
  assertGreaterOrEqual(start, 0, `PROTOCOL.md has no ${heading}`);
  const text = protocol.slice(start + heading.length + 2);
  const end = text.search(/^#/m);
  return end < 0 ? text : text.slice(0, end);
}

/** The cells of the table under a heading, row by row, without its head. */
function table(heading: string): string[][] {
  const rows = section(heading).split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** What is in the one code span that a cell is. */
function code(cell: string | undefined): string {
  const [, content] = /^`([^`]+)`$/.exec(cell ?? "") ?? [];
  assert(content !== undefined, `${cell} is no code span`);
  return content!;
}

/** What a receiver makes of a stream: the kinds of its lines, then the reason for its end. */
function receive(stream: Uint8Array): string[] {
  const splitter = new LineSplitter();
  const { bytes } = splitter.push(stream);
  const validator = new LineValidator().open(bytes);
  const result: string[] = [];
  for (let start = 0; start < bytes.length; start = validator.end + 1) {
    const kind = validator.validate(start);
    if (kind === "invalid") return [...result, validator.fault.code];
    result.push(kind === "empty" ? "keep-alive" : kind);
  }
  if (splitter.fault) return [...result, splitter.fault.code];
  return [...result, splitter.unfinishedBytes > 0 ? "truncated" : "eof"];
}

Deno.test("PROTOCOL.md lists valid lines, and the code accepts each as the kind that it names", () => {
  const rows = table("### Valid lines");
  assertGreaterOrEqual(rows.length, 30);
  for (const [line, kind] of rows) {
    assertEquals(receive(withNewline(raw(code(line)))), [kind, "eof"], line);
  }
  assertEquals(new Set(rows.map(([, kind]) => kind)), new Set(["event", "control", "keep-alive"]));
});

Deno.test("PROTOCOL.md lists invalid lines, and the code refuses each for the reason given", () => {
  const rows = table("### Invalid lines");
  assertGreaterOrEqual(rows.length, 55);
  for (const [line, reason] of rows) {
    assertEquals(receive(withNewline(raw(code(line)))), [code(reason)], line);
  }
  const reasons = ["bad-event", "bad-json", "bad-utf8", "line-too-long", "too-deep"];
  assertEquals([...new Set(rows.map(([, reason]) => code(reason)))].sort(), reasons);
});

Deno.test("PROTOCOL.md lists lines, and the reference agrees with it", () => {
  for (const [line, kind] of table("### Valid lines")) {
    const verdict = judge(raw(code(line)));
    assertEquals(verdict.kind === "empty" ? "keep-alive" : verdict.kind, kind, line);
  }
  for (const [line, reason] of table("### Invalid lines")) {
    if (code(reason) === "line-too-long") continue; // which is not for the reference to say
    assert(judge(raw(code(line))).faults.includes(code(reason)), line);
  }
});

Deno.test("PROTOCOL.md lists lines that differ, none of them twice", () => {
  const lines = [...table("### Valid lines"), ...table("### Invalid lines")].map(([line]) => line);
  assertEquals(lines.filter((line, i) => lines.indexOf(line) !== i), []);
});

Deno.test("PROTOCOL.md lists streams, and the code ends each with the reason that it names", () => {
  const rows = table("### Streams");
  assertGreaterOrEqual(rows.length, 14);
  for (const [stream, result] of rows) {
    const expected = result?.split(", ").map((part) => part.replaceAll("`", ""));
    assertEquals(receive(raw(code(stream))), expected ?? [], stream);
  }
});

Deno.test("PROTOCOL.md lists every close reason and its sender", () => {
  const rows = table("## Close reasons");
  const listed = rows.map(([reason, sentBy]) => [code(reason), sentBy]);
  const known = Object.entries(CLOSE_REASONS).map(([reason, { sentBy }]) => [reason, sentBy]);
  assertEquals(listed, known);
  assert(rows.every(([, , , meaning]) => meaning !== ""));
});

Deno.test("PROTOCOL.md lists the code of a Close frame for every close reason", () => {
  for (const [reason, , number] of table("## Close reasons")) {
    assertEquals(code(number), String(closeCodeOf(code(reason) as CloseReason)), reason);
  }
});

Deno.test("errors.ts explains every close reason", async () => {
  const [, comment = ""] = /The reason for which a connection ended([^]*?)export type CloseReason/
    .exec(await read("errors.ts")) ?? [];
  const explained = Array.from(comment.matchAll(/^ \* \| `([\w-]+)` \|/gm), ([, reason]) => reason);
  assertEquals(explained, Object.keys(CLOSE_REASONS));
});

Deno.test("PROTOCOL.md lists the keys that may stand on a line once", () => {
  const keys = table("## Lines").map(([key]) => code(key));
  const validator = new LineValidator();
  const isAccepted = (key: string, times: number): boolean => {
    const value = key === "__dict__" ? "{}" : '"x"';
    const members = Array(times).fill(`"${key}":${value}`);
    if (key !== "event" && key !== "control") members.push('"event":"x"');
    return validator.open(utf8(`{${members.join(",")}}\n`)).validate(0) !== "invalid";
  };
  assertEquals(keys.length, 11);
  assertEquals(keys.filter((key) => !isAccepted(key, 1)), []);
  assertEquals(keys.filter((key) => isAccepted(key, 2)), []);
  assert(isAccepted("another", 2));
});

Deno.test("PROTOCOL.md lists the default limits of the code", () => {
  const limits = table("## Limits").map(([, limit]) => Number(code(limit)));
  const { maxLineBytes, maxPendingBytes, writeTimeout, lineTimeout } = new ConnectionLimits({});
  assertEquals(limits, [
    maxLineBytes,
    DEFAULT_MAX_DEPTH,
    MAX_NAME_BYTES,
    maxPendingBytes,
    DEFAULT_MAX_TOTAL_PENDING_BYTES,
    MAX_BATCH_BYTES,
    writeTimeout,
    lineTimeout,
    DEFAULT_HELLO_TIMEOUT,
    MAX_CONTROL_BYTES,
    DEFAULT_MAX_SUBSCRIPTIONS,
    DEFAULT_MAX_TOTAL_SUBSCRIPTIONS,
    MAX_QUEUES,
    MAX_WILDCARD_PLACES,
  ]);
  assertEquals(new LineSplitter().maxLineBytes, maxLineBytes);
});

Deno.test("PROTOCOL.md shows valid lines in its text", () => {
  const examples = Array.from(protocol.matchAll(/^`(\{.*\})`/gm), ([, line]) => line!);
  const kinds = examples.map((line) => receive(utf8(`${line}\n`))[0]);
  assertEquals(kinds, ["event", ...Array(kinds.length - 1).fill("control")]);
  const [close, hello, welcome, subscribe, ...others] = examples.slice(1).map((line) =>
    JSON.parse(line)
  );
  const [subscribed, taken, receipt, error, stats, reading, resumed, replayed, ...rest] = others;
  assertEquals(rest, []);
  assertEquals(decodeClose(close), { reason: "bad-json", detail: "…" });
  assertEquals(decodeHello(hello), { token: "s3cret", keepAliveMs: 25_000, ack: true });
  assertEquals(decodeWelcome(welcome), {
    id: "c7",
    keepAliveMs: 25_000,
    ack: true,
    features: ["subscribe", "ack", "sequence", "stats"],
    limits: { maxLineBytes: 1_048_576 },
  });
  assertEquals(decodeRequest(subscribe), {
    control: "subscribe",
    events: ["chat.*", "game.>"],
    queue: "workers",
    id: "s1",
  });
  assertEquals(decodeReceipt(subscribed), { id: "s1" });
  assertEquals(decodeAck(taken), 12);
  assertEquals(decodeReceipt(receipt), { id: "e5", clients: 3 });
  assertEquals(decodeRefusal(error), { id: "s1", reason: "bad-pattern", detail: "…" });
  const request = encodeRequest({ control: "stats", id: "i1" });
  assertEquals(request, withNewline(utf8(JSON.stringify(stats))));
  assertEquals(decodeRead(reading), 262_144);
  assertEquals(decodeRequest(resumed), {
    control: "subscribe",
    events: ["chat.>"],
    id: "s1",
    replay: { since: { epoch: "k3J9x2aQ", offset: 1001 }, partial: false, isPast: false },
  });
  assertEquals(decodeReplayAnswer(replayed), {
    id: "s1",
    epoch: "k3J9x2aQ",
    recovered: true,
    from: 1001,
    to: 1040,
  });
});

/** The code spans of a cell. */
function codes(cell: string | undefined): string[] {
  return Array.from((cell ?? "").matchAll(/`([^`]+)`/g), ([, content]) => content!);
}

Deno.test("PROTOCOL.md lists patterns, and the code matches the same names", () => {
  const rows = table("## Patterns");
  assertGreaterOrEqual(rows.length, 11);
  for (const [cell, matched, unmatched] of rows) {
    const pattern = code(cell);
    assertEquals(faultOfPattern(pattern) !== "", matched === "bad", pattern);
    if (matched === "bad") continue;
    for (const name of codes(matched)) assert(matches(pattern, name), name);
    for (const name of codes(unmatched)) assertFalse(matches(pattern, name), name);
  }
});

Deno.test("PROTOCOL.md lists envelopes, and a relay rewrites them so", () => {
  const rows = table("### Envelopes");
  assertGreaterOrEqual(rows.length, 13);
  for (const [sent, received] of rows) {
    const { clients: [one, two, three], router, ingress } = setUp(3);
    router.change(three!, three!.subscriptions, true);
    ingress.take(one!, withNewline(raw(code(sent))), false);
    const expected = textOf(withNewline(raw(code(received))));
    assertEquals(two!.recipient.text, expected);
    assertEquals(three!.recipient.text, expected.replace("{", '{"seq":1,'));
  }
});

Deno.test("PROTOCOL.md lists every control line of the code", async () => {
  const known = table("## Control lines").map(([control]) => code(control)).sort();
  const texts = ["protocol/control.ts", "protocol/history.ts", "protocol/report.ts"].map(read);
  const written = (await Promise.all(texts)).flatMap((text) =>
    Array.from(text.matchAll(/control(?:: | !== | === )"(\w+)"/g), ([, control]) => control!)
  );
  assertEquals(known, [...new Set(written)].sort());
});

Deno.test("PROTOCOL.md lists every reason for which the code refuses something", async () => {
  const reasons = table("### Error").map(([reason]) => code(reason));
  const texts = await Promise.all(
    ["relay/control_handler.ts", "relay/subscriptions.ts", "protocol/control.ts"].map(read),
  );
  const used = texts.flatMap((text) =>
    Array.from(text.matchAll(/reason: "([\w-]+)"/g), ([, reason]) => reason!)
  );
  const refusals = new Set(used.filter((reason) => !Object.hasOwn(CLOSE_REASONS, reason)));
  assertEquals([...refusals].filter((reason) => !reasons.includes(reason)), []);
});
