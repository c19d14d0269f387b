import { assertEquals } from "@std/assert/equals";
import { CheckReport } from "../../cli/check.ts";
import { FileChecker } from "../../cli/input_lines.ts";
import { Output } from "../../cli/stdio.ts";
import type { EventDefinitions } from "../../schema/definitions.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** Only events that are called `good` fit. */
const EVENTS: EventDefinitions<object> = {
  names: ["good"],
  check: (name, value) =>
    name === "good" ? { value: value as object } : { issues: ["first", "second"] },
};

async function report(text: string, events: EventDefinitions<object> | null) {
  let written = "";
  const output = new Output((bytes) => {
    written += textOf(bytes);
    return Promise.resolve(bytes.length);
  });
  const report = new CheckReport(output, events);
  await report.add("f", new FileChecker().push(utf8(text)));
  return [written, report.summary, report.isGood];
}

const TEXT = '{"event":"good"}\n\n{"event":"other"}\n{"control":"x"}\n';

Deno.test("CheckReport counts its findings, and reports success if no line is bad", async () => {
  assertEquals(await report(TEXT, null), ["", "2 good events, 1 control line, 0 bad lines", true]);
  assertEquals(await report("x\n", null), [
    'f:1:1: bad-json: expected a value, found "x"\n',
    "0 good events, 1 bad line",
    false,
  ]);
});

Deno.test("CheckReport compares events, and nothing else, with their definitions", async () => {
  assertEquals(await report(TEXT, EVENTS), [
    "f:3:1: bad-attributes: first; second\n",
    "1 good event, 1 control line, 1 bad line",
    false,
  ]);
});

Deno.test("CheckReport writes all of a long report", async () => {
  const [written] = await report("x\n".repeat(5000), null);
  const lines = (written as string).trimEnd().split("\n");
  assertEquals(lines.length, 5000);
  assertEquals(lines.at(-1), 'f:5000:1: bad-json: expected a value, found "x"');
});
