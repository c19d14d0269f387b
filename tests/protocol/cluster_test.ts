import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import {
  type ClusterHead,
  decodeClientsOf,
  decodeHeld,
  decodeInterest,
  decodeLost,
  decodeMessage,
  decodeNext,
  decodeReached,
  decodeStart,
  encodeHeld,
  encodeInterest,
  encodeLost,
  encodeMessage,
  encodeNext,
  encodeReached,
  encodeStart,
  MAX_LINK_HEAD_BYTES,
} from "../../protocol/cluster.ts";
import type { ControlLine } from "../../protocol/control.ts";
import { textOf, utf8 } from "../support/bytes.ts";

const RELAY = "rAbc-_012";
const TERMS = {
  maxLineBytes: 10,
  maxDepth: 5,
  echo: false,
  subscribeFirst: true,
  events: ["a", "b"],
  keepLast: ["c.>"],
  keep: ["a", "c.>"],
};

const HEADS: ClusterHead[] = [
  { control: "bye", relay: RELAY, hasRest: false },
  { control: "bye", relay: RELAY, hasRest: true },
  { control: "here", relay: RELAY, version: 1, upMs: 0, terms: TERMS, isNew: true },
  {
    control: "here",
    relay: RELAY,
    version: 2,
    upMs: 9e14,
    terms: { ...TERMS, echo: true, subscribeFirst: false, events: null, keepLast: [], keep: null },
    isNew: false,
  },
  {
    control: "link",
    relay: RELAY,
    session: "01234567",
    peer: "",
    number: 0,
    taken: 9e14,
    again: undefined,
  },
  {
    control: "link",
    relay: RELAY,
    session: "01234567",
    peer: "abcdefgh",
    number: 7,
    taken: 5,
    again: 3,
  },
];

function lineOf(bytes: Uint8Array): ControlLine {
  return JSON.parse(textOf(bytes)) as ControlLine;
}

Deno.test("A message between relays is its head as a line, and a part of a stream", () => {
  for (const head of HEADS) {
    for (const part of ["", "a\nb\n", "\n"]) {
      const message = concat([encodeMessage(head), utf8(part)]);
      const decoded = decodeMessage(message)!;
      assertEquals(decoded.head, head);
      assertEquals(textOf(decoded.part), part);
      if (head.control === "link") assertLess(message.length - part.length, MAX_LINK_HEAD_BYTES);
    }
  }
});

Deno.test("PROTOCOL.md has the messages between relays as the code writes them", async () => {
  const text = await Deno.readTextFile(new URL("../../PROTOCOL.md", import.meta.url));
  const messages = [...text.matchAll(/^- `((?:link |\{"control":"(?:here|bye)").*?)`/gm)];
  const kinds = messages.map(([, message]) => decodeMessage(utf8(`${message}\n`))?.head.control);
  assertEquals(kinds, ["here", "bye", "link"]);
});

Deno.test("decodeMessage() takes no message of a stranger", () => {
  const here =
    `{"control":"here","relay":"${RELAY}","version":1,"up_ms":1,"max_line_bytes":1,"max_depth":2}`;
  assertStrictEquals(decodeMessage(utf8(`${here}\n`))?.head.control, "here");
  const strange = [
    "",
    "no line",
    "\n",
    "null\n",
    "[]\n",
    "{}\n",
    '{"control":"bye"}\n',
    '{"control":"bye","relay":"c7"}\n',
    `{"control":"here","relay":"${RELAY}"}\n`,
    `{"control":"here","relay":"${RELAY}","version":"1","up_ms":1,"max_line_bytes":1,"max_depth":2}\n`,
    `{"control":"here","relay":"${RELAY}","version":1,"max_line_bytes":1,"max_depth":2}\n`,
    `${here.slice(0, -1)},"events":[1]}\n`,
    `${here.slice(0, -1)},"keep_last":"a"}\n`,
    "link\n",
    `link ${RELAY} 01234567 ? 1\n`,
    `link ${RELAY} 01234567 ? 1 2 3 4\n`,
    `link ${RELAY} 01234567 ? -1 2\n`,
    `link ${RELAY} 01234567 ? 1e3 2\n`,
    `link ${RELAY} 01234567 ? 1234567890123456 2\n`,
    `link ${RELAY} 0123 ? 1 2\n`,
    `link ${RELAY} 01234567 0123 1 2\n`,
    "link c7 01234567 ? 1 2\n",
  ];
  for (const message of strange) assertStrictEquals(decodeMessage(utf8(message)), null, message);
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    decodeMessage(bytes);
  }));
});

Deno.test("The control lines of a link are decoded as they were encoded", () => {
  const change = {
    version: 3,
    add: ["a.*"],
    drop: ["b"],
    queues: [["q", "c.>", 2] as const],
    isWhole: true,
  };
  assertEquals(decodeInterest(lineOf(encodeInterest(change))), change);
  const empty = { version: 0, add: [], drop: [], queues: [], isWhole: false };
  assertEquals(textOf(encodeInterest(empty)), '{"control":"interest","version":0}\n');
  assertEquals(decodeInterest(lineOf(encodeInterest(empty))), empty);
  assertEquals(decodeHeld(lineOf(encodeHeld(4))), 4);
  assertEquals(decodeLost(lineOf(encodeLost(5))), 5);
  const next = { number: 1, queues: ["q"], only: true, back: true };
  assertEquals(decodeNext(lineOf(encodeNext(next))), next);
  assertEquals(decodeReached(lineOf(encodeReached([{ number: 1, clients: 2 }]))), {
    number: 1,
    clients: 2,
  });
  for (const start of [{ events: 0, wasAway: false }, { events: 7, wasAway: true }]) {
    assertEquals(decodeStart(lineOf(encodeStart(start))), start);
  }
});

Deno.test("The decoders of a link trust no member", () => {
  const values = fc.oneof(fc.jsonValue(), fc.constant(undefined));
  const names = ["interest", "held", "next", "reached", "lost", "start", "clients", "who"];
  const line = fc.record({
    control: fc.constantFrom(...names),
    version: values,
    add: values,
    drop: values,
    queues: values,
    number: values,
    clients: values,
    events: values,
  });
  fc.assert(fc.property(line, (line) => {
    const decoders = [
      decodeInterest,
      decodeHeld,
      decodeNext,
      decodeReached,
      decodeLost,
      decodeStart,
      (line: ControlLine) => decodeClientsOf(RELAY, line),
    ];
    for (const decode of decoders) decode(line);
  }));
  const interest = (members: object) =>
    decodeInterest({ control: "interest", version: 1, ...members });
  assertStrictEquals(interest({ add: ["a.>.b"] }), null);
  assertStrictEquals(interest({ queues: [["", "a", 1]] }), null);
  assertStrictEquals(interest({ queues: [["q", "a", -1]] }), null);
  assertStrictEquals(interest({ queues: [["q", "a"]] }), null);
});
