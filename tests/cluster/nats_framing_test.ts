import { assertEquals } from "@std/assert/equals";
import { concat } from "@std/bytes/concat";
import { NatsFraming } from "../../cluster/nats_framing.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** What a server sends: payloads with ends of lines, with what looks like a message, and empty ones. */
const SENT = [
  'INFO {"max_payload":1048576}\r\n',
  "PONG\r\n",
  "MSG eb.a.all 1 14\r\na\nMSG b 1 9\r\n\n\r\n",
  "MSG eb.a.all 1 0\r\n\r\n",
  "HMSG eb.a.all 1 reply 12 15\r\nNATS/1.0\r\n\r\nabc\r\n",
  "-ERR 'Stale Connection'\r\n",
  "MSG eb.a.to.r 22 10\r\n0123456789\r\n",
  "PING\r\n",
];

/**
 * Passes bytes through a buffer of `size` bytes, in reads of `step` bytes. Returns what is passed on,
 * and at last what is held back, if anything.
 */
function cut(bytes: Uint8Array, size: number, step: number): string[] {
  const framing = new NatsFraming();
  const passed: string[] = [];
  let held = new Uint8Array();
  for (let i = 0; i < bytes.length;) {
    const length = Math.min(step, size - held.length);
    const buffer = concat([held, bytes.subarray(i, i + length)]);
    i += length;
    const end = framing.cut(buffer, buffer.length === size);
    if (end > 0) passed.push(textOf(buffer.subarray(0, end)));
    held = buffer.slice(end);
  }
  return held.length > 0 ? [...passed, textOf(held)] : passed;
}

Deno.test("NatsFraming passes on whole messages, wherever reads end", () => {
  const bytes = utf8(SENT.join(""));
  assertEquals(cut(bytes, 1000, 1), SENT);
  for (let step = 2; step <= bytes.length; step++) {
    const passed = cut(bytes, 1000, step);
    assertEquals(passed.join(""), SENT.join(""));
    const left = [...SENT];
    for (const each of passed) {
      let whole = "";
      while (whole.length < each.length) whole += left.shift();
      assertEquals(each, whole);
    }
  }
});

Deno.test("NatsFraming passes a message that does not fit on in parts, and later ones as a whole", () => {
  const long = `MSG eb.a.all 1 100\r\n${"MSG a 1 5\r\n".repeat(9)}x\r\n`;
  const bytes = utf8([...SENT, long, ...SENT].join(""));
  for (let size = 60; size < 120; size++) {
    for (const step of [1, 7, size]) {
      const passed = cut(bytes, size, step);
      assertEquals(passed.join(""), textOf(bytes));
      if (step === 1) assertEquals(passed.slice(-SENT.length), SENT);
    }
  }
});

Deno.test("NatsFraming changes nothing of what no server sends, and never waits for more than fits", () => {
  const strange = [
    "x".repeat(99),
    "MSG\r\n\r\n",
    "MSG a 1 -50\r\n\r\n",
    "MSG a 1 x\r\n\r\n",
    "M\n\r\n",
    "M 1",
    `MSG a 1 ${"9".repeat(90)}\r\n`,
  ];
  for (const text of strange) {
    for (const step of [1, 5, 20]) {
      assertEquals(cut(utf8(`${text}${text}`), 20, step).join(""), `${text}${text}`);
    }
  }
});
