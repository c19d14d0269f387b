import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { FrameDecoder } from "../../protocol/frame_decoder.ts";
import { bytewise, cutAt, textOf, utf8 } from "../support/bytes.ts";
import {
  close,
  decode,
  decodeChunks,
  decodeSlowly,
  fragment,
  fragments,
  type Frame,
  frameOf,
  lastFragment,
  type Outcome,
  ping,
  pong,
  text,
} from "../support/frames.ts";
import { cutFractions, cutInto, fuzzRuns } from "../support/lines.ts";

/** The decoded text of a stream, which must be valid. */
function linesOf(...frames: Uint8Array[]): string {
  const { lines, fault } = decodeChunks([concat(frames)]);
  assertEquals(fault, null);
  return textOf(Uint8Array.fromHex(lines));
}

/** The message of the fault of a stream. */
function faultOf(...frames: Uint8Array[]): string {
  const decoder = new FrameDecoder();
  decode(decoder, concat(frames));
  return decoder.fault?.message ?? "";
}

/** The outcome without the answers to Pings, which depend on the chunks. */
function outcomeOf(chunks: Uint8Array[]): Outcome {
  const { pongs: _, ...outcome } = decodeChunks(chunks);
  return outcome;
}

Deno.test("FrameDecoder.decode() ends a message with a line end, unless it has one", () => {
  assertEquals(linesOf(text("a"), text("b\n"), text("c")), "a\nb\nc\n");
});

Deno.test("FrameDecoder.decode() returns an empty line for an empty message", () => {
  assertEquals(linesOf(text("")), "\n");
  assertEquals(linesOf(text("a\n"), text(""), text("b\n")), "a\n\nb\n");
});

Deno.test("FrameDecoder.decode() keeps a message that is nothing but a line end", () => {
  assertEquals(linesOf(text("\n"), text("\r\n")), "\n\r\n");
});

Deno.test("FrameDecoder.decode() takes several lines from one message", () => {
  assertEquals(linesOf(text("a\nb\r\nc")), "a\nb\r\nc\n");
});

Deno.test("FrameDecoder.decode() joins fragments to one message", () => {
  assertEquals(linesOf(fragments("a", "b", "c")), "abc\n");
  assertEquals(linesOf(fragments("", "a", "", "b\n", "")), "ab\n");
  assertEquals(linesOf(fragments("a\n", "b")), "a\nb\n");
});

Deno.test("FrameDecoder.decode() returns an empty line for empty fragments", () => {
  assertEquals(linesOf(fragments("", "", "")), "\n");
});

Deno.test("FrameDecoder.decode() returns payload before its frame is complete", () => {
  const decoder = new FrameDecoder();
  const frame = text("abcdefg");
  assertEquals(textOf(decode(decoder, frame.subarray(0, 9))), "abc");
  assertEquals(textOf(decode(decoder, frame.subarray(9, 12))), "def");
  assertEquals(textOf(decode(decoder, frame.subarray(12))), "g\n");
});

Deno.test("FrameDecoder.decode() has room for a line end after a head that came alone", () => {
  const decoder = new FrameDecoder();
  const frame = text("ab");
  assertEquals(textOf(decode(decoder, frame.subarray(0, 6))), "");
  assertEquals(textOf(decode(decoder, frame.subarray(6))), "ab\n");
});

Deno.test("FrameDecoder.decode() decodes a part of a longer buffer, and no other byte", () => {
  const frame = text("abcdefghij");
  for (let before = 0; before < 9; before++) {
    const buffer = new Uint8Array(before + frame.length + 8).fill(0xee);
    buffer.set(frame, before);
    const length = new FrameDecoder().decode(buffer.subarray(before, before + frame.length));
    assertEquals(textOf(buffer.subarray(before, before + length)), "abcdefghij\n");
    assertEquals(buffer.subarray(0, before), new Uint8Array(before).fill(0xee));
    assertEquals(buffer.subarray(before + frame.length), new Uint8Array(8).fill(0xee));
  }
});

Deno.test("FrameDecoder.decode() takes no bytes, and returns none", () => {
  assertEquals(new FrameDecoder().decode(new Uint8Array(0)), 0);
});

Deno.test("FrameDecoder.decode() removes every mask at every position", () => {
  const masks = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  fc.assert(
    fc.property(masks, fc.uint8Array({ maxLength: 40 }), fc.nat(7), (mask, payload, before) => {
      const frame = frameOf({ opcode: 1, payload, mask });
      const buffer = new Uint8Array(before + frame.length);
      buffer.set(frame, before);
      const bytes = buffer.subarray(before);
      const length = new FrameDecoder().decode(bytes);
      const isEnded = payload.at(-1) === 0x0a;
      assertEquals(bytes.slice(0, length).toHex(), payload.toHex() + (isEnded ? "" : "0a"));
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

Deno.test("FrameDecoder.decode() removes the mask of a payload that is cut anywhere", () => {
  const payload = utf8("0123456789abcdefghijklmnop");
  for (const mask of [[1, 2, 3, 4], [0x81, 0xff, 0, 0x7f], [0, 0, 0, 0]]) {
    const frame = frameOf({ opcode: 1, payload, mask });
    for (let one = 0; one <= frame.length; one++) {
      for (let two = one; two <= frame.length; two++) {
        const { lines } = decodeChunks(cutAt(frame, [one, two]));
        assertEquals(lines, `${payload.toHex()}0a`);
      }
    }
  }
});

Deno.test("FrameDecoder.decode() reads payloads whose length has 7, 16 or 64 bits", () => {
  for (const length of [0, 1, 125, 126, 127, 128, 255, 256, 65_535, 65_536, 70_000]) {
    const content = "x".repeat(length);
    assertEquals(linesOf(text(content), text("y")), `${content}\ny\n`);
  }
});

Deno.test("FrameDecoder.isUnfinished is true within a frame and within a message", () => {
  const isUnfinished = (bytes: Uint8Array) => decodeChunks([bytes]).isUnfinished;
  const frame = text("ab");
  for (let i = 1; i < frame.length; i++) assertEquals(isUnfinished(frame.subarray(0, i)), true);
  assertEquals(isUnfinished(frame), false);
  assertEquals(isUnfinished(fragment("ab", 1)), true);
  assertEquals(isUnfinished(fragments("ab", "c")), false);
  assertEquals(isUnfinished(ping("ab").subarray(0, 7)), true);
  assertEquals(isUnfinished(new Uint8Array(0)), false);
});

Deno.test("FrameDecoder.takePong() answers the latest Ping once", () => {
  const decoder = new FrameDecoder();
  decode(decoder, concat([ping("a"), text("x"), ping("bc")]));
  assertEquals(decoder.takePong(), Uint8Array.of(0x8a, 2, 0x62, 0x63));
  assertEquals(decoder.takePong(), null);
});

Deno.test("FrameDecoder.takePong() does not answer a Ping that is not complete", () => {
  const decoder = new FrameDecoder();
  const frame = ping("ab");
  decode(decoder, frame.subarray(0, -1));
  assertEquals(decoder.takePong(), null);
  decode(decoder, frame.subarray(-1));
  assertEquals(decoder.takePong(), Uint8Array.of(0x8a, 2, 0x61, 0x62));
});

Deno.test("FrameDecoder.closed has the code and the text of a Close frame", () => {
  const closedBy = (frame: Uint8Array) => {
    const decoder = new FrameDecoder();
    decode(decoder, frame);
    return decoder.closed;
  };
  assertEquals(closedBy(close(1000)), { code: 1000, reason: "" });
  assertEquals(closedBy(close(4999, "bye ✓")), { code: 4999, reason: "bye ✓" });
  assertEquals(closedBy(frameOf({ opcode: 8 })), { code: 1005, reason: "" });
  assertEquals(closedBy(close(1001, "\ufeffx")), { code: 1001, reason: "\ufeffx" });
});

Deno.test("FrameDecoder.decode() ignores what follows a Close frame", () => {
  const decoder = new FrameDecoder();
  assertEquals(textOf(decode(decoder, concat([text("a"), close(1000), text("b")]))), "a\n");
  assertEquals(textOf(decode(decoder, text("c"))), "");
  assertEquals(decoder.fault, null);
});

Deno.test("FrameDecoder.decode() returns the lines before a fault, and nothing after it", () => {
  const decoder = new FrameDecoder();
  const bad = frameOf({ opcode: 3 });
  assertEquals(textOf(decode(decoder, concat([text("a"), bad, text("b")]))), "a\n");
  assertEquals(decoder.fault?.reason, "bad-frame");
  assertEquals(textOf(decode(decoder, text("c"))), "");
});

Deno.test("FrameDecoder.fault says what was expected and what was found", () => {
  const binary = frameOf({ opcode: 2, payload: utf8("{}") });
  const found: [message: string, expected: string][] = [
    [faultOf(binary), "expected text (opcode 1), found binary data (opcode 2)"],
    [faultOf(frameOf({ opcode: 11 })), "expected the opcode 0, 1, 8, 9 or 10, found 11"],
    [faultOf(frameOf({ opcode: 1, mask: null })), "expected a masked frame, found one without"],
    [faultOf(frameOf({ opcode: 1, reserved: 4 })), "expected the reserved bits 000, found 100"],
    [faultOf(lastFragment("a")), "expected a new message (opcode 1), found opcode 0"],
    [faultOf(fragment("a", 1), text("b")), "expected the next fragment (opcode 0), found opcode 1"],
    [
      faultOf(frameOf({ opcode: 9, isFinal: false })),
      "expected a Ping in one frame, found a fragm",
    ],
    [faultOf(ping("x".repeat(126))), "expected a Ping of at most 125 bytes, found a longer one"],
    [faultOf(frameOf({ opcode: 1, lengthBits: 16 })), "shortest form, found 0 in 16 bits"],
    [faultOf(frameOf({ opcode: 1, lengthBits: 64 })), "shortest form, found 0 in 64 bits"],
    [faultOf(frameOf({ opcode: 1, length: 1n << 63n })), "below 2^63, found 0x8000000000000000"],
    [faultOf(close(1005)), "expected a Close with a code that may be sent, found 1005"],
    [faultOf(frameOf({ opcode: 8, payload: utf8("a") })), "a code of 2 bytes, found one of 1 byte"],
    [faultOf(close(1000, Uint8Array.of(0xff))), "expected a Close with a text in UTF-8"],
  ];
  for (const [message, expected] of found) {
    assertMatch(message, /^Cannot decode frame: expected .*, found .*[^.]$/);
    assertStringIncludes(message, expected);
  }
});

Deno.test("FrameDecoder.fault has the close reason for each kind of fault", () => {
  const reasonOf = (frame: Uint8Array) => decodeChunks([frame]).fault;
  assertEquals(reasonOf(frameOf({ opcode: 2 })), "bad-json");
  assertEquals(reasonOf(frameOf({ opcode: 3 })), "bad-frame");
  assertEquals(reasonOf(close(1000, Uint8Array.of(0xc3))), "bad-utf8");
  assertEquals(reasonOf(close(999, Uint8Array.of(0xc3))), "bad-frame");
});

Deno.test("FrameDecoder.decode() takes lengths up to 2^63 - 1 without waiting for the payload", () => {
  for (const length of [1n << 31n, 1n << 32n, 1n << 53n, (1n << 63n) - 1n]) {
    const decoder = new FrameDecoder();
    const frame = frameOf({ opcode: 1, payload: utf8("abc"), length });
    assertEquals(textOf(decode(decoder, frame)), "abc");
    assertEquals(decoder.isUnfinished, true);
    assertEquals(decoder.fault, null);
  }
});

Deno.test("FrameDecoder.decode() keeps a character that is split over frames", () => {
  assertEquals(
    linesOf(...[fragment(Uint8Array.of(0xe2), 1), lastFragment(Uint8Array.of(0x82, 0xac))]),
    "€\n",
  );
});

/** Frames as a careful or a careless client writes them. */
const anyFrame: fc.Arbitrary<Frame> = fc.record({
  opcode: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(0, 1, 1, 1, 8, 9, 9, 10) },
    { weight: 1, arbitrary: fc.nat(15) },
  ),
  payload: fc.oneof(
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: 20 }) },
    { weight: 3, arbitrary: fc.constantFrom("", "\n", "a\n", "a\nb", "\r\n", "é").map(utf8) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(123, 125, 126, 127, 300).map((n) => utf8("x".repeat(n))),
    },
    { weight: 1, arbitrary: fc.constantFrom(1000, 1001, 1005, 4000, 5000).map(codeBytes) },
  ),
  isFinal: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()),
  reserved: fc.oneof({ weight: 50, arbitrary: fc.constant(0) }, fc.nat(7)),
  mask: fc.oneof(
    { weight: 50, arbitrary: fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)) },
    fc.constant(null),
  ),
}, { noNullPrototype: true });

function codeBytes(code: number): Uint8Array {
  return Uint8Array.of(code >> 8, code & 0xff);
}

/** Streams that are mostly frames in a possible order, and now and then anything. */
const anyStream = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(anyFrame, { maxLength: 12 }).map((frames) => {
      let isInMessage = false;
      return concat(frames.map((frame) => {
        // Mostly in order, because the first fault is the end.
        const isData = frame.opcode <= 1;
        const opcode = isData ? (isInMessage ? 0 : 1) : frame.opcode;
        if (isData) isInMessage = frame.isFinal === false;
        return frameOf({ ...frame, opcode });
      }));
    }),
  },
  {
    weight: 1,
    arbitrary: fc.array(anyFrame, { maxLength: 4 }).map((all) => concat(all.map(frameOf))),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
);

Deno.test("FrameDecoder agrees with a slow decoder on any stream, cut anywhere", () => {
  fc.assert(
    fc.property(anyStream, cutFractions, fc.nat(99), (stream, cuts, end) => {
      const part = stream.subarray(0, Math.ceil(stream.length * (100 - end) / 100));
      const expected = decodeSlowly(part);
      assertEquals(outcomeOf([part]), expected);
      assertEquals(outcomeOf(cutInto(part, cuts)), expected);
      assertEquals(outcomeOf(bytewise(part)), expected);
    }),
    { numRuns: fuzzRuns(3000) },
  );
});

Deno.test("FrameDecoder answers each Ping of a stream that comes byte by byte", () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 125 }), { maxLength: 5 });
  fc.assert(fc.property(payloads, (payloads) => {
    const { pongs } = decodeChunks(bytewise(concat(payloads.map(ping))));
    const expected = payloads.map((payload) =>
      concat([Uint8Array.of(0x8a, payload.length), payload])
    );
    assertEquals(pongs.map((frame) => frame.toHex()), expected.map((frame) => frame.toHex()));
  }));
});

Deno.test("FrameDecoder.decode() returns at most as many bytes as it is given", () => {
  fc.assert(
    fc.property(anyStream, cutFractions, (stream, cuts) => {
      const decoder = new FrameDecoder();
      for (const chunk of cutInto(stream, cuts)) {
        const bytes = new Uint8Array(decoder.headroom + chunk.length);
        bytes.set(chunk, decoder.headroom);
        assertLessOrEqual(decoder.decode(bytes), bytes.length);
      }
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

Deno.test("FrameDecoder keeps nothing of a message without an end, nor of control frames", () => {
  const decoder = new FrameDecoder();
  const content = utf8("x".repeat(4000));
  const chunk = concat([fragment(content, 0), ping("y".repeat(125)), pong("z".repeat(125))]);
  const bytes = new Uint8Array(chunk.length);
  decode(decoder, fragment(content, 1));
  const used = () => Deno.memoryUsage().heapUsed + Deno.memoryUsage().external;
  const before = used();
  for (let i = 0; i < 16_384; i++) { // 64 MiB
    bytes.set(chunk);
    assertEquals(decoder.decode(bytes), content.length);
    decoder.takePong();
  }
  assertLess(used() - before, 32 * 1024 * 1024);
});
