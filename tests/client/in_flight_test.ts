import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { InFlightLines } from "../../client/in_flight.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** A ledger of lines that follow one another in the stream, from byte `start` on. */
function ledgerOf(names: string, start = 0): InFlightLines {
  const ledger = new InFlightLines();
  let end = start;
  for (const name of names) {
    const line = utf8(`${name}\n`);
    ledger.add(line, end += line.length);
  }
  return ledger;
}

function close(ledger: InFlightLines, position: number): [string, string] {
  const { unconfirmed, unsent } = ledger.close(position);
  return [unconfirmed.map(textOf).join(""), unsent.map(textOf).join("")];
}

Deno.test("InFlightLines.acknowledge() counts from the first line", () => {
  const ledger = ledgerOf("abcd");
  assertEquals([ledger.length, ledger.bytes], [4, 8]);
  ledger.acknowledge(1);
  ledger.acknowledge(3);
  ledger.acknowledge(2); // says nothing new
  assertEquals([ledger.length, ledger.bytes], [1, 2]);
  assertEquals(close(ledger, 100), ["d\n", ""]);
  assertEquals([ledger.length, ledger.bytes], [0, 0]);
});

Deno.test("InFlightLines.isComplete holds unless lines were given up that nobody has acknowledged", () => {
  const ledger = ledgerOf("abc");
  assertEquals(ledger.isComplete, true);
  ledger.forget(4);
  assertEquals([ledger.length, ledger.isComplete], [1, false]);
  ledger.acknowledge(1);
  assertEquals([ledger.length, ledger.isComplete], [1, false]);
  ledger.acknowledge(2);
  assertEquals([ledger.length, ledger.isComplete], [1, true]);
});

Deno.test("InFlightLines.acknowledge() does not believe a peer that claims too much", () => {
  const ledger = ledgerOf("ab");
  ledger.acknowledge(1_000_000);
  assertEquals([ledger.length, ledger.bytes], [0, 0]);
  ledger.add(utf8("c\n"), 6);
  assertEquals(close(ledger, 6), ["c\n", ""]);
});

Deno.test("InFlightLines.close() tells a line that was handed over to its last byte from a torn one", () => {
  for (let position = 0; position <= 6; position++) {
    const whole = Math.floor(position / 2);
    const all = "a\nb\nc\n";
    assertEquals(close(ledgerOf("abc"), position), [all.slice(0, 2 * whole), all.slice(2 * whole)]);
  }
  assertEquals(close(ledgerOf("ab", 40), 41), ["", "a\nb\n"]);
  assertEquals(close(ledgerOf("ab", 40), 42), ["a\n", "b\n"]);
});

Deno.test("InFlightLines.forget() gives up what has been handed over, and acknowledgements still count", () => {
  const ledger = ledgerOf("abcd");
  ledger.forget(3);
  assertEquals(ledger.length, 3);
  ledger.forget(4);
  ledger.acknowledge(1);
  assertEquals(ledger.length, 2);
  ledger.acknowledge(3);
  assertEquals(close(ledger, 8), ["d\n", ""]);
});

Deno.test("InFlightLines lets go of what is settled, however much it has seen", () => {
  const ledger = new InFlightLines();
  const line = utf8("x\n");
  for (let i = 1; i <= 200_000; i++) {
    ledger.add(line, 2 * i);
    if (i > 10) ledger.acknowledge(i - 10);
  }
  assertEquals([ledger.length, ledger.bytes], [10, 20]);
});

Deno.test("InFlightLines agrees with a list", () => {
  const step = fc.record({ type: fc.constantFrom("add", "ack", "forget"), n: fc.nat(40) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.nat(400), (steps, position) => {
    const ledger = new InFlightLines();
    const lines: { line: Uint8Array; end: number }[] = [];
    let settled = 0;
    let end = 0;
    for (const { type, n } of steps) {
      if (type === "add") {
        const line = utf8(`${"x".repeat(n % 7)}\n`);
        end += line.length;
        ledger.add(line, end);
        lines.push({ line, end });
      } else if (type === "ack") {
        ledger.acknowledge(n);
        settled = Math.max(settled, Math.min(n, lines.length));
      } else {
        ledger.forget(n);
        while (settled < lines.length && lines[settled]!.end <= n) settled++;
      }
    }
    const open = lines.slice(settled);
    assertEquals(ledger.length, open.length);
    assertEquals(ledger.close(position), {
      unconfirmed: open.filter(({ end }) => end <= position).map(({ line }) => line),
      unsent: open.filter(({ end }) => end > position).map(({ line }) => line),
    });
  }));
});
