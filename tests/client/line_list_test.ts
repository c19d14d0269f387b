import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { LineList } from "../../client/line_list.ts";
import { textOf, utf8 } from "../support/bytes.ts";

Deno.test("LineList.endConnection() separates completely written lines from partly written ones", () => {
  for (let position = 40; position <= 46; position++) {
    const list = new LineList();
    for (const [i, name] of [..."abc"].entries()) {
      list.push(utf8(`${name}\n`));
      list.send(42 + 2 * i);
    }
    list.push(utf8("d\n"));
    const whole = Math.floor((position - 40) / 2);
    assertEquals(
      list.endConnection(position).map(textOf).join(""),
      "a\nb\nc\n".slice(0, 2 * whole),
    );
    assertEquals(list.waitingLines().map(textOf).join(""), "a\nb\nc\nd\n".slice(2 * whole));
    assertEquals(list.inFlight, 0);
    assertEquals(list.bytesInFlight, 0);
    assertEquals(list.waitingBytes, 8 - 2 * whole);
  }
});

Deno.test("LineList agrees with two arrays", () => {
  const type = fc.constantFrom("push", "send", "settle", "shift", "remove", "end");
  const step = fc.record({ type, n: fc.nat(40) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const list = new LineList();
    let flying: { line: Uint8Array; end: number }[] = [];
    let waiting: Uint8Array[] = [];
    let end = 0;
    for (const { type, n } of steps) {
      if (type === "push") {
        const line = utf8(`${"x".repeat(n % 7)}\n`);
        list.push(line);
        waiting.push(line);
      } else if (type === "send" && waiting.length > 0) {
        const line = waiting.shift()!;
        list.send(end += line.length);
        flying.push({ line, end });
      } else if (type === "settle") {
        const count = list.countUpTo(n);
        assertEquals(count, flying.filter(({ end }) => end <= n).length);
        list.settle(count);
        flying = flying.slice(count);
      } else if (type === "shift" && waiting.length > 0) {
        assertEquals(list.shift(), waiting.shift());
      } else if (type === "remove" && waiting.length > 0) {
        const at = n % waiting.length;
        assertEquals(list.remove(waiting[at]!), flying.length + at);
        waiting.splice(at, 1);
      } else if (type === "end") {
        const unsent = flying.filter(({ end }) => end > n).map(({ line }) => line);
        assertEquals(
          list.endConnection(n),
          flying.filter(({ end }) => end <= n).map(({ line }) => line),
        );
        waiting = [...unsent, ...waiting];
        flying = [];
        end = 0;
      }
      const bytes = (lines: readonly Uint8Array[]) => lines.reduce((sum, a) => sum + a.length, 0);
      assertEquals(list.waitingLines(), waiting);
      assertEquals(list.waitingBytes, bytes(waiting));
      assertEquals(list.bytesInFlight, bytes(flying.map(({ line }) => line)));
      assertEquals(list.inFlight, flying.length);
      assertEquals(list.waiting, waiting.length);
      assertEquals(list.length, flying.length + waiting.length);
    }
  }));
});

Deno.test("LineList keeps the order, however many lines have gone through it", () => {
  const list = new LineList();
  for (let i = 1; i <= 200_000; i++) {
    list.push(utf8("x\n"));
    if (i > 10) list.send(2 * i);
    if (i > 20) list.settle(1);
  }
  assertEquals(list.inFlight, 10);
  assertEquals(list.bytesInFlight, 20);
  assertEquals(list.waiting, 10);
  assertEquals(list.remove(utf8("x\n")), -1);
});
