import { assertEquals } from "@std/assert/equals";
import { concat } from "@std/bytes/concat";
import type { DiskLog } from "../../history/disk_log.ts";
import { NO_SENDER } from "../../history/kept_block.ts";
import { loadLast, openLast, saveLast } from "../../history/last_file.ts";
import type { LastValues } from "../../history/last_values.ts";
import { openLog } from "../../history/open_log.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import { decodeSegmentHead, encodeSegmentHead } from "../../history/segment_format.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { quietSink } from "../support/log_sink.ts";
import { MemoryFolder } from "../support/memory_folder.ts";
import { until } from "../support/waiting.ts";

const RULES = checkHistoryOptions({ folder: "memory", keepLast: ["state.>"] });
const PATTERNS = RULES.keepLast;

async function add(log: DiskLog, ...names: string[]): Promise<void> {
  const text = names.map((name) => `{ "event":"${name}","__dict__":{"at":${log.head}}}\n`).join("");
  const bytes = utf8(text);
  log.append(bytes, 0, bytes.length, names.length, NO_SENDER, performance.now());
  await until(() => log.synced === log.head);
}

const shown = (values: LastValues) =>
  Array.from(values, ({ name, offset, line }) => [name, offset, textOf(line)]);

Deno.test("The last event of each name is found in the log, and in the file up to an offset", async () => {
  const folder = new MemoryFolder();
  const { log } = await openLog(folder, RULES);
  await add(log, "state.a", "other", "state.b");
  await add(log, "state.a");
  const line = (name: string, at: number) => `{ "event":"${name}","__dict__":{"at":${at}}}\n`;
  const first = [["state.b", 3, line("state.b", 0)], ["state.a", 4, line("state.a", 3)]];
  const values = await loadLast(folder, log, PATTERNS);
  assertEquals(shown(values), first);
  await saveLast(folder, log, PATTERNS);
  await add(log, "state.c", "state.b");
  const later = [
    ["state.a", 4, line("state.a", 3)],
    ["state.c", 5, line("state.c", 4)],
    ["state.b", 6, line("state.b", 4)],
  ];
  assertEquals(shown(await loadLast(folder, log, PATTERNS)), later);
  assertEquals(shown(await loadLast(folder, log, ["state.b"])), later.slice(2));
  // What is not on the disk yet does not take the place of what is.
  const text = utf8('{"event":"state.c"}\n');
  log.append(text, 0, text.length, 1, NO_SENDER, performance.now());
  await saveLast(folder, log, PATTERNS);
  const saved = textOf(folder.files.get("last.ndjson")!.bytes);
  assertEquals(saved.match(/"offset":\d+,/g), [
    '"offset":4,',
    '"offset":5,',
    '"offset":6,',
    '"offset":6,',
  ]);
  await log.close();
  // Of a log that has lost events of the file, and of a damaged file, nothing is taken.
  later.splice(1, 1);
  later.push(["state.c", 7, '{"event":"state.c"}\n']);
  const crashed = folder.crash();
  const { log: next } = await openLog(crashed, RULES);
  const file = crashed.files.get("last.ndjson")!;
  for (let at = 0; at < file.bytes.length; at += 7) {
    file.bytes[at]! ^= 1;
    assertEquals(shown(await loadLast(crashed, next, PATTERNS)), later, `damaged at ${at}`);
    file.bytes[at]! ^= 1;
  }
  await next.close();
});

Deno.test("The last events of names outlast the limits of number and age: at the end of a file, a restart and a mend", async () => {
  for (const limit of [{ keepCount: 1 }, { keepAge: 1000 }]) {
    const folder = new MemoryFolder();
    const small = { keepBytes: 1_048_576, keepLast: ["state.>"] };
    const rules = checkHistoryOptions({ folder: "memory", ...small, ...limit });
    const restored: string[][] = [];
    const open = async () => {
      const { log } = await openLog(folder, rules);
      log.watch({
        ...quietSink,
        onSegment: () => saveLast(folder, log, PATTERNS),
        onReopen: async () => void restored.push(await names()),
      });
      const names = async () =>
        Array.from(
          await loadLast(folder, log, PATTERNS),
          ({ name, offset }) => `${name}@${offset}`,
        );
      return { log, names };
    };
    /** Makes all events too old, if age is limited. */
    const age = async (log: DiskLog) => {
      log.expire(performance.now() + 10_000);
      await until(() => log.first >= log.head);
    };
    const { log, names } = await open();
    await add(log, "state.a", "state.b", "state.c");
    await age(log);
    assertEquals(await names(), ["state.a@1", "state.b@2", "state.c@3"]);
    folder.fault = () => "ENOSPC";
    const lost = utf8('{"event":"state.lost"}\n');
    log.append(lost, 0, lost.length, 1, NO_SENDER, performance.now());
    await until(() => log.isBroken);
    folder.fault = () => null;
    await until(() => !log.isBroken);
    assertEquals(restored, [["state.a@1", "state.b@2", "state.c@3"]]);
    const oldest = [...folder.files.keys()][0]!;
    await add(log, "state.b");
    await age(log);
    for (let i = 0; folder.files.has(oldest); i++) {
      await add(log, ...Array<string>(100).fill(`noise.${"x".repeat(200)}`)); // a third of a file
      await age(log);
    }
    const expected = ["state.a@1", "state.c@3", "state.b@4"];
    assertEquals(await names(), expected);
    await log.close();
    const next = await open();
    assertEquals(await next.names(), expected);
    await next.log.close();
  }
});

Deno.test("A file for other patterns, or of an older relay, does not hide what is in the log", async () => {
  const namesOf = (values: LastValues) => Array.from(values, ({ name, offset }) => [name, offset]);
  const folder = new MemoryFolder();
  const rules = checkHistoryOptions({ folder: "memory", keepBytes: 1_048_576 });
  const { log } = await openLog(folder, rules);
  const before = ["a.*", "b.1"];
  log.watch({
    ...quietSink,
    onSegment: () => saveLast(folder, log, before),
  });
  await add(log, "a.1", "b.1", "b.2");
  const oldest = [...folder.files.keys()][0]!;
  while (folder.files.has(oldest)) {
    await add(log, ...Array<string>(300).fill(`noise.${"x".repeat(200)}`)); // a file
  }
  const at = log.head;
  await add(log, "b.3", "a.2", "b.1");
  await saveLast(folder, log, before);
  await log.close();
  const { log: next } = await openLog(folder, rules);
  const read = next.read.bind(next);
  let reads = 0;
  next.read = (offset) => {
    reads++;
    return read(offset);
  };
  // What only the file has is kept, and what only the log has is found.
  const wider = ["b.*", "a.*"];
  const expected = [["a.1", 1], ["b.3", at + 1], ["a.2", at + 2], ["b.1", at + 3]];
  assertEquals(namesOf(await loadLast(folder, next, wider)), expected);
  assertEquals(namesOf(await loadLast(folder, next, ["a.*"])), [["a.1", 1], ["a.2", at + 2]]);
  const file = folder.files.get("last.ndjson")!;
  const { head: { patterns, ...old }, end } = decodeSegmentHead(file.bytes)!;
  assertEquals(typeof patterns, "number");
  file.bytes = concat([encodeSegmentHead(old), file.bytes.subarray(end)]);
  assertEquals(namesOf(await openLast(folder, next, wider)), expected);
  // The file is for these patterns now, in whatever order they are.
  reads = 0;
  assertEquals(namesOf(await loadLast(folder, next, wider.toReversed())), expected);
  await saveLast(folder, next, wider);
  assertEquals(reads, 0);
  // Where the disk has no room for the file, it is not needed yet.
  folder.fault = (operation) => operation === "create" ? "ENOSPC" : null;
  assertEquals(namesOf(await openLast(folder, next, ["b.3"])), [["b.3", at + 1]]);
  await next.close();
});

Deno.test("saveLast() lets others work meanwhile, and says that it goes on", async () => {
  const folder = new MemoryFolder();
  const { log } = await openLog(folder, RULES);
  await add(log, ...Array.from({ length: 5000 }, (_, i) => `state.${i}.${"x".repeat(200)}`));
  await saveLast(folder, log, PATTERNS);
  const blocks = textOf(folder.files.get("last.ndjson")!.bytes).match(/^.{0,20}"block"/gm)!.length;
  let turns = 0;
  const timer = setInterval(() => turns++);
  let steps = 0;
  using _clock = new Clock(1e9); // Each part takes long.
  await saveLast(folder, log, PATTERNS, () => steps++);
  clearInterval(timer);
  // In these steps, it reads the parts of the file, or writes them.
  assertEquals(blocks > 4, true);
  assertEquals(steps, 2 * blocks - 1);
  assertEquals(turns > 0, true);
  await log.close();
});
