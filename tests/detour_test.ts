import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { Detour } from "../detour.ts";
import { utf8 } from "./support/bytes.ts";
import { FakeRecipient } from "./support/routes.ts";

Deno.test("Detour.send() leaves out and puts in what was said, with the events that these are", () => {
  const step = fc.constantFrom("all", "others", "alone");
  fc.assert(fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const detour = new Detour();
    let [shared, expected, events] = ["", "", 0];
    steps.forEach((step, i) => {
      const line = `${i}\n`;
      const at = { bytes: shared.length, events };
      if (step !== "others") expected += line;
      if (step === "alone") return detour.insert(at, utf8(line), 0, line.length);
      shared += line;
      events++;
      if (step === "others") detour.skip(at, { bytes: shared.length, events });
    });
    const recipient = new FakeRecipient(1);
    assertEquals(detour.send(recipient, utf8(shared), events), true);
    assertEquals(recipient.text, expected);
    assertEquals(recipient.eventsOut, steps.filter((step) => step !== "others").length);
    assertEquals(recipient.pieces.length, expected === "" ? 0 : 1);
  }));
});

Deno.test("Detour.send() gives one piece, which holds nothing else in memory", () => {
  const detour = new Detour();
  const lines = utf8("a\nb\nc\nd\n");
  detour.skip({ bytes: 0, events: 0 }, { bytes: 2, events: 1 });
  detour.skip({ bytes: 2, events: 1 }, { bytes: 4, events: 2 });
  detour.insert({ bytes: 6, events: 3 }, utf8("x\n"), 0, 2);
  detour.insert({ bytes: 6, events: 3 }, utf8("y\n"), 0, 2);
  const recipient = new FakeRecipient(1);
  detour.send(recipient, lines, 4);
  const [piece] = recipient.pieces;
  assertEquals([recipient.text, recipient.pieces.length], ["c\nx\ny\nd\n", 1]);
  assertEquals(piece!.buffer.byteLength, piece!.length);
});

Deno.test("Detour.send() says when the client does not take it", () => {
  const detour = new Detour();
  detour.insert({ bytes: 2, events: 1 }, utf8("x\n"), 0, 2);
  const recipient = new FakeRecipient(1);
  recipient.open = false;
  assertEquals(detour.send(recipient, utf8("a\n"), 1), false);
});
