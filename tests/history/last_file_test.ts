import { assertEquals } from "@std/assert/equals";
import { NO_SENDER } from "../../history/kept_block.ts";
import { loadLast, saveLast } from "../../history/last_file.ts";
import type { LastValues } from "../../history/last_values.ts";
import type { EventLog } from "../../history/log.ts";
import { NameFilter } from "../../history/name_filter.ts";
import { openLog } from "../../history/open_log.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { MemoryFolder } from "../support/memory_folder.ts";
import { until } from "../support/waiting.ts";

const RULES = checkHistoryOptions({ folder: "memory", keepLast: ["state.>"] });
const FILTER = new NameFilter(RULES.keepLast);

async function add(log: EventLog, ...names: string[]): Promise<void> {
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
  const values = await loadLast(folder, log, FILTER);
  assertEquals(shown(values), first);
  await saveLast(folder, log, FILTER);
  await add(log, "state.c", "state.b");
  const later = [
    ["state.a", 4, line("state.a", 3)],
    ["state.c", 5, line("state.c", 4)],
    ["state.b", 6, line("state.b", 4)],
  ];
  assertEquals(shown(await loadLast(folder, log, FILTER)), later);
  assertEquals(shown(await loadLast(folder, log, new NameFilter(["state.b"]))), later.slice(2));
  // What is not on the disk yet does not take the place of what is.
  const text = utf8('{"event":"state.c"}\n');
  log.append(text, 0, text.length, 1, NO_SENDER, performance.now());
  await saveLast(folder, log, FILTER);
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
    assertEquals(shown(await loadLast(crashed, next, FILTER)), later, `damaged at ${at}`);
    file.bytes[at]! ^= 1;
  }
  await next.close();
});
