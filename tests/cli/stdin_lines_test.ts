import { assertEquals } from "@std/assert/equals";
import { InputError, readEvents } from "../../cli/input_lines.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** The lines of the events of `text`, read in chunks of `size` bytes, and the fault after them. */
async function read(text: string, size = 65_536): Promise<[lines: string[], fault: string | null]> {
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
    return [lines, null];
  } catch (error) {
    if (error instanceof InputError) return [lines, error.message];
    throw error;
  }
}

Deno.test("readEvents() gives every event as it is, and the last one without its end, too", async () => {
  const lines = ['{"event":"a"}\n', '{"event":"b","__dict__":{"é":1.0}}\r\n', '{"event":"c"}\n'];
  const text = `${lines[0]}\r\n${lines[1]}${lines[2]}`.slice(0, -1);
  for (const size of [1, 7, 65_536]) {
    assertEquals(await read(text, size), [lines, null], `chunks of ${size}`);
  }
  assertEquals(await read(""), [[], null]);
});

Deno.test("readEvents() stops at the first line that is no event, and says where", async () => {
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
      assertEquals(await read(first + rest, size), [[first], `standard input:${fault}`]);
    }
  }
});

Deno.test("readEvents() says why the input cannot be read", async () => {
  const input = { read: () => Promise.reject(new Deno.errors.IsADirectory()) };
  const errors: string[] = [];
  await readEvents(input).next().catch(({ message }) => errors.push(message));
  assertEquals(errors, ["Cannot read standard input: it is a directory"]);
});
