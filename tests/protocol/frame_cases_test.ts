// The cases of the Autobahn TestSuite for WebSocket, as a table of our own: its sections 1 to 7, 9
// and 10, for a server that takes lines of text.

import { assertEquals } from "@std/assert/equals";
import { concat } from "@std/bytes/concat";
import { bytewise, cutAt, raw, utf8 } from "../support/bytes.ts";
import {
  close,
  fragment,
  fragments,
  frameOf,
  lastFragment,
  ping,
  pong,
  receive,
  text,
  type Verdict,
} from "../support/frames.ts";

/** Frames, and what a server makes of them. What is not named is nothing. */
type Case = [name: string, frames: Uint8Array[], expected: Partial<Verdict>];

const NOTHING: Verdict = { lines: [], pongs: [], code: null, closed: null, isUnfinished: false };

/** The pieces of at most `size` bytes that a stream is received in. */
function chop(bytes: Uint8Array, size: number): Uint8Array[] {
  return cutAt(bytes, Array.from({ length: bytes.length / size }, (_, i) => size * (i + 1)));
}

/** Checks cases: all frames at once, each by itself, and byte by byte. */
function check(cases: Case[], options?: Parameters<typeof receive>[1]): void {
  for (const [name, frames, expected] of cases) {
    const whole = { ...NOTHING, ...expected };
    Deno.test(name, () => {
      assertEquals(receive(frames, options), whole);
      const stream = concat(frames);
      assertEquals(receive(bytewise(stream), options), whole);
      const once = receive([stream], options);
      assertEquals(once, { ...whole, pongs: whole.pongs.slice(-1) });
    });
  }
}

const MESSAGE_SIZES = [1, 125, 126, 127, 128, 65_535, 65_536];

/** A frame with no mistake but its opcode. */
function other(opcode: number, content = ""): Uint8Array {
  return frameOf({ opcode, payload: utf8(content) });
}

/** A frame with reserved bits. */
function reserved(bits: number, opcode = 1, content = ""): Uint8Array {
  return frameOf({ opcode, payload: utf8(content), reserved: bits });
}

// 1: framing

check([
  ["An empty message is an empty line", [text("")], { lines: [""] }],
  ...MESSAGE_SIZES.map((size): Case => {
    const content = "*".repeat(size);
    return [`A message of ${size} bytes is one line`, [text(content)], { lines: [content] }];
  }),
  ...[0, ...MESSAGE_SIZES].map((size): Case => {
    const name = `A binary message of ${size} bytes is refused`;
    return [name, [other(2, "*".repeat(size))], { code: 1003 }];
  }),
]);

Deno.test("A message of 65,536 bytes that comes in pieces of 997 bytes is one line", () => {
  const content = "*".repeat(65_536);
  assertEquals(receive(chop(text(content), 997)), { ...NOTHING, lines: [content] });
});

// 2: Pings and Pongs

const TEN_PINGS = Array.from({ length: 10 }, (_, i) => `payload-${i}`);

check([
  ["A Ping without a payload is answered", [ping()], { pongs: [""] }],
  ["A Ping is answered with its payload", [ping("Hello, world!")], { pongs: ["Hello, world!"] }],
  [
    "A Ping is answered with any bytes",
    [ping(raw("<00><ff><fe><fd><fc><fb><00><ff>"))],
    { pongs: ["\0ÿþýüû\0ÿ"] },
  ],
  ["A Ping of 125 bytes is answered", [ping("x".repeat(125))], { pongs: ["x".repeat(125)] }],
  ["A Ping of 126 bytes is refused", [ping("x".repeat(126))], { code: 1002 }],
  ["A Pong that nobody asked for is ignored", [pong()], {}],
  ["A Pong with a payload that nobody asked for is ignored", [pong("unsolicited")], {}],
  ["A Pong of 126 bytes is refused", [pong("x".repeat(126))], { code: 1002 }],
  ["A Ping after a Pong is answered", [pong("unsolicited"), ping("ping")], { pongs: ["ping"] }],
  ["Ten Pings are answered one by one", TEN_PINGS.map(ping), { pongs: TEN_PINGS }],
  [
    "Pings between messages are answered",
    [text("a"), ping("1"), text("b"), ping("2")],
    { lines: ["a", "b"], pongs: ["1", "2"] },
  ],
]);

// 3: reserved bits

check([
  ["A message with reserved bit 3 is refused", [reserved(1, 1, "a")], { code: 1002 }],
  [
    "A message with reserved bit 2 is refused, and the message before it counts",
    [text("a"), reserved(2, 1, "b"), ping()],
    { lines: ["a"], code: 1002 },
  ],
  [
    "A message with reserved bits 2 and 3 is refused, and the message before it counts",
    [text("a"), reserved(3, 1, "b"), ping()],
    { lines: ["a"], code: 1002 },
  ],
  [
    "A message with reserved bit 1 is refused, as without compression",
    [text("a"), reserved(4, 1, "b"), ping()],
    { lines: ["a"], code: 1002 },
  ],
  ["A binary message with reserved bits is refused", [reserved(5, 2, "a")], { code: 1002 }],
  ["A Ping with reserved bits is refused", [reserved(6, 9)], { code: 1002 }],
  ["A Close with reserved bits is refused", [reserved(7, 8)], { code: 1002 }],
]);

// 4: opcodes

check([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): Case[] => [
  [`A frame with opcode ${opcode} is refused`, [other(opcode)], { code: 1002 }],
  [
    `A frame with opcode ${opcode} and a payload is refused`,
    [other(opcode, "reserved opcode")],
    { code: 1002 },
  ],
  [
    `A frame with opcode ${opcode} after a message is refused, and the message counts`,
    [text("Hello"), other(opcode, "reserved"), ping()],
    { lines: ["Hello"], code: 1002 },
  ],
]));

// 5: fragmentation

check([
  [
    "A Ping in two fragments is refused",
    [frameOf({ opcode: 9, isFinal: false, payload: utf8("a") }), lastFragment("b")],
    { code: 1002 },
  ],
  [
    "A Pong in two fragments is refused",
    [frameOf({ opcode: 10, isFinal: false, payload: utf8("a") }), lastFragment("b")],
    { code: 1002 },
  ],
  [
    "A Close in two fragments is refused",
    [frameOf({ opcode: 8, isFinal: false, payload: raw("<03>") }), lastFragment(raw("<e8>"))],
    { code: 1002 },
  ],
  [
    "A message in two fragments is one line",
    [fragment("fragment1", 1), lastFragment("fragment2")],
    { lines: ["fragment1fragment2"] },
  ],
  [
    "A Ping between two fragments is answered, and the message is one line",
    [fragment("fragment1", 1), ping("ping"), lastFragment("fragment2")],
    { lines: ["fragment1fragment2"], pongs: ["ping"] },
  ],
  [
    "A Pong between two fragments is ignored, and the message is one line",
    [fragment("fragment1", 1), pong("pong"), lastFragment("fragment2")],
    { lines: ["fragment1fragment2"] },
  ],
  [
    "A last fragment without a message is refused, and so is what follows",
    [lastFragment("fragment"), text("Hello")],
    { code: 1002 },
  ],
  [
    "A fragment without a message is refused, and so is what follows",
    [fragment("fragment", 0), text("Hello")],
    { code: 1002 },
  ],
  [
    "A fragment after the last one of a message is refused, and the message counts",
    [fragment("fragment1", 1), lastFragment("fragment2"), fragment("fragment3", 0), text("Hello")],
    { lines: ["fragment1fragment2"], code: 1002 },
  ],
  [
    "A last fragment after a message in one frame is refused, and the message counts",
    [text("Hello"), lastFragment("fragment")],
    { lines: ["Hello"], code: 1002 },
  ],
  [
    "A message within the fragments of another one is refused",
    [fragment("fragment1", 1), text("fragment2")],
    { code: 1002 },
  ],
  [
    "A first fragment within the fragments of another message is refused",
    [fragment("fragment1", 1), fragment("fragment2", 1)],
    { code: 1002 },
  ],
  [
    "A binary message within the fragments of a text is refused",
    [fragment("fragment1", 1), other(2, "fragment2")],
    { code: 1003 },
  ],
  [
    "A binary message in fragments is refused at the first one",
    [frameOf({ opcode: 2, isFinal: false, payload: utf8("fragment1") }), lastFragment("fragment2")],
    { code: 1003 },
  ],
  [
    "A message in five fragments with Pings between them is one line",
    [
      fragment("fragment1", 1),
      fragment("fragment2", 0),
      ping("ping1"),
      fragment("fragment3", 0),
      fragment("fragment4", 0),
      ping("ping2"),
      lastFragment("fragment5"),
    ],
    { lines: ["fragment1fragment2fragment3fragment4fragment5"], pongs: ["ping1", "ping2"] },
  ],
  [
    "A message that never ends is no line",
    [fragment("fragment1", 1), fragment("fragment2", 0)],
    { isUnfinished: true },
  ],
  ["A message in three empty fragments is an empty line", [fragments("", "", "")], { lines: [""] }],
  [
    "A message of three fragments, all but one of them empty, is one line",
    [fragments("", "fragment", "")],
    { lines: ["fragment"] },
  ],
]);

// Masks and lengths, which the suite leaves out

check([
  ["A frame without a mask is refused", [frameOf({ opcode: 1, mask: null })], { code: 1002 }],
  ["A Ping without a mask is refused", [frameOf({ opcode: 9, mask: null })], { code: 1002 }],
  ["A length of 125 in 16 bits is refused", [longer(125, 16)], { code: 1002 }],
  ["A length of 125 in 64 bits is refused", [longer(125, 64)], { code: 1002 }],
  ["A length of 65,535 in 64 bits is refused", [longer(65_535, 64)], { code: 1002 }],
  [
    "A length of 2^63 is refused",
    [frameOf({ opcode: 1, length: 1n << 63n })],
    { code: 1002 },
  ],
]);

/** A message whose length is not in its shortest form. */
function longer(length: number, lengthBits: 16 | 64): Uint8Array {
  return frameOf({ opcode: 1, payload: new Uint8Array(length), lengthBits });
}

// 6: UTF-8

const START = '{"event":"';
const END = '"}';

/** An event whose name has some bytes, in the notation of `raw()`. */
function named(name: string): Uint8Array {
  return concat([utf8(START), raw(name), utf8(END)]);
}

/** The line of such an event. */
function lineOf(name: string): string {
  return new TextDecoder().decode(named(name));
}

const GREEK = "<ce><ba><e1><bd><b9><cf><83><ce><bc><ce><b5>";
const SURROGATE = "<ed><a0><80>edited";

const VALID = {
  "a dollar sign": "hello<24>world",
  "a cent sign": "hello<c2><a2>world",
  "a euro sign": "hello<e2><82><ac>world",
  "a character of four bytes": "hello<f0><a4><ad><a2>world",
  "Greek": GREEK,
  "the first character of two bytes": "<c2><80>",
  "the first character of three bytes": "<e0><a0><80>",
  "the first character of four bytes": "<f0><90><80><80>",
  "the last character of one byte": "<7f>",
  "the last character of two bytes": "<df><bf>",
  "the last character of three bytes": "<ef><bf><bf>",
  "the last character of four bytes": "<f4><8f><bf><bf>",
  "the last character before the surrogates": "<ed><9f><bf>",
  "the first character after the surrogates": "<ee><80><80>",
  "the replacement character": "<ef><bf><bd>",
  "the anchor of an annotation": "<ef><bf><b9><ef><bf><ba><ef><bf><bb><ef><bf><bc>",
  "code points that are no characters":
    "<ef><bf><be><f0><9f><bf><be><f3><af><bf><bf><f4><8f><bf><be>",
};

const INVALID = {
  "a surrogate": `${GREEK}${SURROGATE}`,
  "a form of five bytes": "<f8><88><80><80><80>",
  "a form of six bytes": "<fc><84><80><80><80><80>",
  "the last form of four bytes": "<f7><bf><bf><bf>",
  "the last form of five bytes": "<fb><bf><bf><bf><bf>",
  "the last form of six bytes": "<fd><bf><bf><bf><bf><bf>",
  "a code point that is too large": "<f4><90><80><80>",
  "a continuation byte alone": "<80>",
  "the last continuation byte alone": "<bf>",
  "two continuation bytes alone": "<80><bf>",
  "seven continuation bytes alone": "<80><bf><80><bf><80><bf><80>",
  "first bytes of two, each alone": "<c0> <c1> <c2> <df> ",
  "first bytes of three, each alone": "<e0> <e1> <ed> <ef> ",
  "first bytes of four, each alone": "<f0> <f4> <f7> ",
  "first bytes of five and six, each alone": "<f8> <fb> <fc> <fd> ",
  "a character of two bytes without its last": "<df>",
  "a character of three bytes without its last": "<ef><bf>",
  "a character of four bytes without its last": "<f0><90><80>",
  "overlong characters without their last": "<c0><e0><80><f0><80><80><f8><80><80><80>",
  "the byte fe": "<fe>",
  "the byte ff": "<ff>",
  "impossible bytes": "<fe><fe><ff><ff>",
  "an overlong slash of two bytes": "<c0><af>",
  "an overlong slash of three bytes": "<e0><80><af>",
  "an overlong slash of four bytes": "<f0><80><80><af>",
  "an overlong slash of five bytes": "<f8><80><80><80><af>",
  "the longest overlong form of two bytes": "<c1><bf>",
  "the longest overlong form of three bytes": "<e0><9f><bf>",
  "the longest overlong form of four bytes": "<f0><8f><bf><bf>",
  "an overlong zero of two bytes": "<c0><80>",
  "an overlong zero of three bytes": "<e0><80><80>",
  "an overlong zero of four bytes": "<f0><80><80><80>",
  "the first surrogate": "<ed><a0><80>",
  "the last high surrogate": "<ed><af><bf>",
  "the first low surrogate": "<ed><b0><80>",
  "the last surrogate": "<ed><bf><bf>",
  "a pair of surrogates": "<ed><a0><80><ed><b0><80>",
  "the last pair of surrogates": "<ed><af><bf><ed><bf><bf>",
};

/** The bytes of an event, each in a fragment of its own. */
function inSingleBytes(name: string): Uint8Array {
  return fragments(...bytewise(named(name)));
}

check([
  ...Object.entries(VALID).flatMap(([title, name]): Case[] => [
    [`A text with ${title} is accepted`, [text(named(name))], { lines: [lineOf(name)] }],
    [
      `A text with ${title} is accepted in fragments of one byte`,
      [inSingleBytes(name)],
      { lines: [lineOf(name)] },
    ],
  ]),
  ...Object.entries(INVALID).flatMap(([title, name]): Case[] => [
    [`A text with ${title} is refused`, [text(named(name))], { code: 1007 }],
    [`A text with ${title} is refused in fragments`, [inSingleBytes(name)], { code: 1007 }],
  ]),
  ...Array.from({ length: 11 }, (_, bytes): Case => {
    const name = GREEK.slice(0, 4 * (bytes + 1));
    const isWhole = [1, 4, 6, 8, 10].includes(bytes);
    const expected = isWhole ? { lines: [lineOf(name)] } : { code: 1007 };
    const verb = isWhole ? "accepted" : "refused";
    return [
      `A text that ends after ${bytes + 1} bytes of Greek is ${verb}`,
      [text(named(name))],
      expected,
    ];
  }),
  [
    "A text is accepted in two fragments that meet between two characters",
    [fragments(`${START}Hello-µ@ßöä`, `üàá-UTF-8!!${END}`)],
    { lines: [`${START}Hello-µ@ßöäüàá-UTF-8!!${END}`] },
  ],
  [
    "A text is accepted with empty fragments within a character",
    [fragments(START, raw("<e2>"), "", raw("<82>"), "", raw("<ac>"), END)],
    { lines: [`${START}€${END}`] },
  ],
  [
    "A text that is refused leaves the message before it accepted, and the one after it unread",
    [text(named("a")), text(named("<ff>")), text(named("b"))],
    { lines: [lineOf("a")], code: 1007 },
  ],
  [
    "A line that is refused leaves the line before it in its message accepted",
    [text(concat([named("a"), utf8("\n"), named("<ff>")]))],
    { lines: [lineOf("a")], code: 1007 },
  ],
  [
    "A text is refused in three fragments, at the latest when its line is complete",
    [fragment(START + "κόσμε", 1), fragment(raw("<f4><90><80><80>"), 0), lastFragment(END)],
    { code: 1007 },
  ],
], { isChecked: true });

// 7: closing

check([
  ["A Close after a message ends the stream", [text("Hello"), close(1000)], {
    lines: ["Hello"],
    closed: "1000",
  }],
  ["A second Close is ignored", [close(1000), close(1001)], { closed: "1000" }],
  ["A Ping after a Close is not answered", [close(1000), ping()], { closed: "1000" }],
  ["A message after a Close is ignored", [close(1000), text("Hello")], { closed: "1000" }],
  ["A fault after a Close is ignored", [close(1000), other(3)], { closed: "1000" }],
  [
    "A Close between two fragments leaves the message unfinished",
    [fragment("fragment1", 1), close(1000), lastFragment("fragment2")],
    { closed: "1000", isUnfinished: true },
  ],
  ["A Close after 256 KiB ends the stream", [text("B".repeat(262_144)), close(1000), ping()], {
    lines: ["B".repeat(262_144)],
    closed: "1000",
  }],
  ["A Close without a payload is accepted", [other(8)], { closed: "1005" }],
  ["A Close with a payload of one byte is refused", [other(8, "a")], { code: 1002 }],
  ["A Close with a code is accepted", [close(1000)], { closed: "1000" }],
  ["A Close with a text is accepted", [close(1000, "Hello")], { closed: "1000 Hello" }],
  ["A Close with a text of 123 bytes is accepted", [close(1000, "*".repeat(123))], {
    closed: `1000 ${"*".repeat(123)}`,
  }],
  ["A Close with a text of 124 bytes is refused", [close(1000, "*".repeat(124))], { code: 1002 }],
  ["A Close whose text is not UTF-8 is refused", [close(1000, raw(`${GREEK}${SURROGATE}`))], {
    code: 1007,
  }],
  ...[
    1000,
    1001,
    1002,
    1003,
    1007,
    1008,
    1009,
    1010,
    1011,
    1012,
    1013,
    1014,
    3000,
    3999,
    4000,
    4999,
  ]
    .map((
      code,
    ): Case => [`A Close with ${code} is accepted`, [close(code)], { closed: `${code}` }]),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
    .map((code): Case => [`A Close with ${code} is refused`, [close(code)], { code: 1002 }]),
]);

// 9: limits. Sizes are as large as the limits allow, and no larger, so that this takes a second.

const LARGE = "*".repeat(262_144);
const MAX_LINE_BYTES = 1_048_576;

/** A message in fragments of at most `size` bytes. */
function inFragments(content: string, size: number): Uint8Array {
  const count = Math.ceil(content.length / size);
  return fragments(
    ...Array.from({ length: count }, (_, i) => content.slice(i * size, (i + 1) * size)),
  );
}

Deno.test("A message as long as a line may be is one line", () => {
  const content = "*".repeat(MAX_LINE_BYTES);
  assertEquals(receive(chop(text(content), 65_536)), { ...NOTHING, lines: [content] });
});

Deno.test("A message that is longer than a line may be is refused, and the one before it counts", () => {
  const frames = [text("a"), text("*".repeat(MAX_LINE_BYTES + 1))];
  const expected = { ...NOTHING, lines: ["a"], code: 1009 };
  assertEquals(receive(chop(concat(frames), 65_536)), expected);
});

Deno.test("A message without an end is refused once its line is too long", () => {
  const frames = [fragment("a", 1), ...Array<Uint8Array>(1000).fill(fragment("*".repeat(100), 0))];
  assertEquals(receive(frames, { maxLineBytes: 5000 }), { ...NOTHING, code: 1009 });
});

Deno.test("A message of many lines may be longer than a line", () => {
  const lines = Array.from({ length: 500 }, (_, i) => `${i}`.repeat(40));
  const frame = text(lines.join("\n"));
  assertEquals(receive(chop(frame, 1000), { maxLineBytes: 120 }), { ...NOTHING, lines });
});

Deno.test("A large binary message is refused at its head", () => {
  const head = frameOf({ opcode: 2, length: 16_777_216n });
  assertEquals(receive([head]), { ...NOTHING, code: 1003 });
});

for (const size of [64, 256, 1024, 4096, 16_384, 65_536, 262_144]) {
  Deno.test(`A message of 256 KiB in fragments of ${size} bytes is one line`, () => {
    const stream = inFragments(LARGE, size);
    assertEquals(receive([stream]), { ...NOTHING, lines: [LARGE] });
    assertEquals(receive(chop(stream, 10_007)), { ...NOTHING, lines: [LARGE] });
  });
}

for (const size of [128, 256, 512, 1024, 2048]) {
  Deno.test(`A message of 256 KiB that comes in pieces of ${size} bytes is one line`, () => {
    assertEquals(receive(chop(text(LARGE), size)), { ...NOTHING, lines: [LARGE] });
  });
}

for (const size of [0, 16, 64, 256, 1024, 4096]) {
  Deno.test(`A thousand messages of ${size} bytes are a thousand lines`, () => {
    const lines = Array<string>(1000).fill("*".repeat(size));
    const stream = concat(lines.map(text));
    assertEquals(receive([stream]), { ...NOTHING, lines });
    assertEquals(receive(chop(stream, 1501)), { ...NOTHING, lines });
  });
}

// 10: fragmentation by the client's library

check([[
  "A message of 64 KiB in fragments of 1,300 bytes is one line",
  [inFragments("*".repeat(65_536), 1300)],
  { lines: ["*".repeat(65_536)] },
]]);
