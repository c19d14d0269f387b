import { assertEquals } from "@std/assert/equals";
import { toAnswer } from "../../cli/service.ts";
import { EbsocketEvent } from "../../event.ts";

Deno.test("toAnswer() makes attributes of one JSON object, and tells of anything else what it is", () => {
  const request = new EbsocketEvent("time.now");
  const cases: [output: string, attributes: Record<string, unknown>][] = [
    ['{"a":1,"event":"x"}', { a: 1, event: "x" }],
    [' \n{\n  "a": {}\n}', { a: {} }],
    ["{}", {}],
    ["", { output: "", code: 0 }],
    ["12:00", { output: "12:00", code: 0 }],
    ["[1]", { output: "[1]", code: 0 }],
    ["null", { output: "null", code: 0 }],
    ['{"a":1}{"b":2}', { output: '{"a":1}{"b":2}', code: 0 }],
    ['{"a":', { output: '{"a":', code: 0 }],
  ];
  for (const [output, attributes] of cases) {
    const answer = toAnswer(request, { output, code: 0, fault: null });
    assertEquals([answer.event, answer.__dict__], ["time.now", attributes]);
  }
});

Deno.test("toAnswer() never takes what a failed command printed for an answer", () => {
  const execution = { output: '{"a":1}', code: 3, fault: "it ended with code 3" };
  assertEquals(toAnswer(new EbsocketEvent("a"), execution).__dict__, {
    output: '{"a":1}',
    code: 3,
    error: "it ended with code 3",
  });
});
