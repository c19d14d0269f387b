import { assertEquals } from "@std/assert/equals";
import { InputError, readEvents } from "../../cli/input_lines.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** The lines of the events of `text`, read in chunks of `size` bytes, and the fault after them. */
async function read(text: string, size = 65_536) {
  const bytes = utf8(text);
  let start = 0;
  const input = {
    read(buffer: Uint8Array): Promise<number | null> {
      const chunk = bytes.subarray(start, start + size);
      buffer.set(chunk);
      start += chunk.length;
      return Promise.resolve(chunk.length || null);
    },
  };
  const lines: string[] = [];
  try {
    for await (const events of readEvents(input)) lines.push(...events.map((e) => textOf(e.line)));
    return { lines, fault: null };
  } catch (error) {
    if (error instanceof InputError) return { lines, fault: error.message };
    throw error;
  }
}

Deno.test("readEvents() yields every event unchanged, even the last one without a line end", async () => {
  const lines = ['{"event":"a"}\n', '{"event":"b","__dict__":{"é":1.0}}\r\n', '{"event":"c"}\n'];
  const text = `${lines[0]}\r\n${lines[1]}${lines[2]}`.slice(0, -1);
  for (const size of [1, 7, 65_536]) {
    const result = await read(text, size);
    assertEquals(result.lines, lines, `chunks of ${size}`);
    assertEquals(result.fault, null);
  }
  const nothing = await read("");
  assertEquals(nothing.lines, []);
  assertEquals(nothing.fault, null);
});

Deno.test("readEvents() stops at the first line that is not an event, and reports its position", async () => {
  const first = '{"event":"a"}\n';
  const cases: [rest: string, fault: string][] = [
    ['{"event":}\n{"event":"b"}\n', '2:10: bad-json: expected a value, found "}"'],
    [
      '{"control":"hello"}\n',
      "2:1: bad-event: a control line is not an event and is not sent",
    ],
    ['\n{"event":"b"', '3:13: bad-json: expected "," or "}", found the end of the line'],
  ];
  for (const [rest, fault] of cases) {
    for (const size of [1, 65_536]) {
      const result = await read(first + rest, size);
      assertEquals(result.lines, [first]);
      assertEquals(result.fault, `standard input:${fault}`);
    }
  }
});

Deno.test("readEvents() reports why the input cannot be read", async () => {
  const input = { read: () => Promise.reject(new Deno.errors.IsADirectory()) };
  const errors: string[] = [];
  await readEvents(input).next().catch(({ message }) => errors.push(message));
  assertEquals(errors, ["Cannot read standard input: it is a directory"]);
});
