import { assertEquals } from "@std/assert/equals";
import { sendLines } from "../../cli/stdin_lines.ts";
import { Publisher } from "../../cli/publisher.ts";
import { testRelay } from "../../testing.ts";

/** What a client hears of `text`, sent in chunks of `size` bytes, and what is said to be wrong with it. */
async function send(text: string, size = 65_536): Promise<[names: string[], fault: string | null]> {
  await using relay = testRelay();
  const client = await relay.connect();
  const bytes = new TextEncoder().encode(text);
  let start = 0;
  const input = {
    read(buffer: Uint8Array): Promise<number | null> {
      const chunk = bytes.subarray(start, start + size);
      buffer.set(chunk);
      start += chunk.length;
      return Promise.resolve(chunk.length || null);
    },
  };
  await using publisher = await Publisher.open(
    relay.address,
    { onRefused() {} },
    { signal: new AbortController().signal },
  );
  const fault = await sendLines(input, publisher, () => {});
  await publisher.finish();
  const names: string[] = [];
  while (names.length < publisher.sent) names.push((await client.recvEvent())!.event);
  return [names, fault];
}

const TEXT = '{"event":"a"}\n\r\n{"event":"b","__dict__":{"é":1}}\r\n{"event":"c"}';

Deno.test("sendLines() sends every event, and the last one without its end, too", async () => {
  for (const size of [1, 7, 65_536]) {
    assertEquals(await send(TEXT, size), [["a", "b", "c"], null], `chunks of ${size}`);
  }
  assertEquals(await send(""), [[], null]);
});

Deno.test("sendLines() stops at the first line that is no event, and says where", async () => {
  for (const size of [1, 65_536]) {
    assertEquals(await send('{"event":"a"}\n{"event":}\n{"event":"b"}\n', size), [
      ["a"],
      'standard input:2:10: bad-json: expected a value, found "}"',
    ]);
  }
  assertEquals(await send('{"event":"a"}\n{"control":"hello"}\n'), [
    ["a"],
    "standard input:2:1: bad-event: a control line is not an event and is not sent",
  ]);
  assertEquals(await send('{"event":"a"}\n{"event":"b"'), [
    ["a"],
    'standard input:2:13: bad-json: expected "," or "}", found the end of the line',
  ]);
});
