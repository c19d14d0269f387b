import { assertEquals } from "@std/assert/equals";
import { NO_SENDER } from "../../history/kept_block.ts";
import { openHistory } from "../../history/open_history.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import { encodeBlock, encodeEnd, encodeSegmentHead } from "../../history/segment_format.ts";
import { utf8 } from "../support/bytes.ts";
import { TempFolder } from "../support/folder.ts";
import { quietSink } from "../support/log_sink.ts";

Deno.test("openHistory has no last event of a name that was followed by others while nobody wanted any", async () => {
  using temp = new TempFolder();
  const run = async (keepLast: string[], names: string[]) => {
    const options = { folder: temp.path, keepBytes: 1_048_576, keepLast };
    const { log, lastValues, onSegment } = await openHistory(checkHistoryOptions(options));
    log.watch({ ...quietSink, onSegment });
    const last = [...lastValues].map(({ name, offset }) => `${name} ${offset}`);
    for (const name of names) {
      const line = utf8(
        `{"event":"${name}","__dict__":{"text":"${"x".repeat(60_000)}"}}\n`,
      );
      log.append(line, 0, line.length, 1, NO_SENDER, performance.now());
      if (log.isFull) await log.whenRoom();
    }
    await log.close();
    return last;
  };
  const many = Array<string>(40).fill("other"); // more than are kept
  await run(["state.*"], ["state.a", ...many]);
  assertEquals(await run(["state.*"], []), ["state.a 1"]);
  await run([], []); // That is no harm, since the log has all that followed.
  assertEquals(await run(["state.*"], []), ["state.a 1"]);
  await run([], ["state.a", ...many]);
  assertEquals(await run(["state.*"], []), []);
});

Deno.test("openHistory drops the events that became too old meanwhile, but no last ones of names", async () => {
  using temp = new TempFolder();
  const now = Date.now();
  // One event is as old as its file, one older than some of the same file.
  const files: [first: number, ages: number[]][] = [[1, [600_000]], [2, [300_000, 120_000, 10]]];
  for (const [first, ages] of files) {
    const blocks = ages.map((age, i) => {
      const line = utf8(`{"event":"e.${first + i}","__dict__":{}}\n`);
      return encodeBlock({ first: first + i, events: 1, bytes: line.length, at: now - age }, [
        line,
      ]);
    });
    const parts = [encodeSegmentHead({ version: 1, epoch: "e1", first, before: [] }), ...blocks];
    if (first === 2) parts.push(encodeEnd(4));
    const path = `${temp.path}/${String(first).padStart(20, "0")}.ndjson`;
    await Deno.writeFile(path, ReadableStream.from(parts));
  }
  const rules = checkHistoryOptions({ folder: temp.path, keepAge: 60_000, keepLast: ["e.*"] });
  const { log, lastValues, faults } = await openHistory(rules);
  assertEquals(faults, []);
  assertEquals([log.first, log.head, log.events, log.evicted], [4, 4, 1, 3]);
  assertEquals([...lastValues].map(({ offset }) => offset).sort(), [1, 2, 3, 4]);
  await log.close();
});
