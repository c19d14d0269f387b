import { assertStrictEquals } from "@std/assert/strict-equals";
import { eventView } from "../../cli/event_view.ts";
import { utf8 } from "../support/bytes.ts";

const line = utf8('{"event":"a"}\n');

Deno.test("eventView() leaves a line as it is where that was asked for", () => {
  assertStrictEquals(eventView(true)(line), line);
});

Deno.test({
  name: "eventView() leaves a line as it is where no terminal is",
  ignore: Deno.stdout.isTerminal(),
  fn: () => assertStrictEquals(eventView(false)(line), line),
});
