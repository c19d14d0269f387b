import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertObjectMatch } from "@std/assert/object-match";
import type { Address } from "../../protocol/address.ts";
import type { RelayStats } from "../../relay.ts";
import type { LogFormat } from "../../cli/relay_flags.ts";
import { Reporter } from "../../cli/reporter.ts";
import { StatsCollector } from "../../relay/stats.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { historyStats } from "../support/report.ts";

const HOSTILE = "\x1b[31m\r\n\u202e\u2028\x00\x9b";

const address: Address = ["192.0.2.1", 50_000];
const client = {
  id: 1,
  address,
  transport: "tcp" as const,
  eventsIn: 2,
  eventsOut: 3,
  bytesIn: 4,
  bytesOut: 5,
  pendingBytes: 0,
};

function setUp(format: LogFormat) {
  const output = new FakeDuplex();
  return { output, reporter: new Reporter(format, (bytes) => output.write(bytes)) };
}

/** Lets everything happen that a peer has a say in. */
async function sayAll(reporter: Reporter): Promise<void> {
  reporter.onJoin(client);
  const info = { reason: "bad-json", detail: HOSTILE, unsentLines: 0, unsentBytes: 0 } as const;
  reporter.onLeave(client, info);
  for (let i = 0; i < 12; i++) reporter.onRefuse(address, "unauthorized", HOSTILE);
  reporter.acceptFailed(new Error(HOSTILE));
  reporter.stopping("SIGTERM");
  await reporter.flush(30_000);
}

for (const format of ["text", "json"] as const) {
  Deno.test(`Reporter writes one ${format} line for each thing, and nothing that a peer made up raw`, async () => {
    const { output, reporter } = setUp(format);
    await sayAll(reporter);
    const lines = output.written.slice(0, -1).split("\n");
    // Ten refusals one by one, one line about the others, and four other things.
    assertEquals(lines.length, 15);
    // deno-lint-ignore no-control-regex
    assertNotMatch(output.written, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]/);
  });
}

Deno.test("Reporter logs the address of a peer, also at a Unix socket", async () => {
  const { output, reporter } = setUp("text");
  reporter.onJoin({ ...client, address: ["2001:db8::1", 5] });
  reporter.onJoin({ ...client, address: ["/run/re\nlay", 0] });
  await reporter.flush(30_000);
  assertEquals(output.written.match(/from \S+/g), ["from [2001:db8::1]:5", "from /run/re\\nlay"]);
});

Deno.test("Reporter sums up refusals that are too many", async () => {
  const text = setUp("text");
  await sayAll(text.reporter);
  assertMatch(text.output.written, /Z and 2 more refused: 2 unauthorized\n/);
  const json = setUp("json");
  await sayAll(json.reporter);
  const entries = json.output.written.trimEnd().split("\n").map((line) => JSON.parse(line));
  const { refused, reasons } = entries.find(({ type }) => type === "refuse-more");
  assertEquals(refused, 2);
  assertEquals(reasons, { unauthorized: 2 });
});

Deno.test("Reporter logs what is in the history, what is wrong with it, and that events are kept again", async () => {
  const text = setUp("text");
  const json = setUp("json");
  for (const { reporter } of [text, json]) {
    reporter.historyOpened(HOSTILE, historyStats({ epoch: HOSTILE }));
    reporter.onHistoryFault(HOSTILE);
    reporter.onHistoryMended();
    await reporter.flush(30_000);
  }
  assertMatch(
    text.output.written,
    /\n.*Z history: \\u001b.*\n.*Z history: events are kept again\n$/,
  );
  const [opened, fault, mended] = json.output.written.trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assertObjectMatch(opened, { type: "history", state: "open" });
  assertObjectMatch(fault, { type: "history-fault" });
  for (const { output } of [text, json]) {
    // deno-lint-ignore no-control-regex
    assertNotMatch(output.written, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]/);
  }
  assertObjectMatch(mended, { type: "history", state: "kept" });
});

Deno.test("Reporter.stats() writes one line of JSON in every format", async () => {
  const collector = new StatsCollector();
  collector.refused("unauthorized");
  const stats: RelayStats = collector.read([client], 0);
  collector.stop();
  for (const format of ["text", "json", "quiet"] as const) {
    const { output, reporter } = setUp(format);
    reporter.stats(stats);
    await reporter.flush(30_000);
    const { time, type, ...rest } = JSON.parse(output.written);
    assertGreater(Date.parse(time), 0);
    assertEquals(type, "stats");
    assertEquals(rest, stats);
  }
});

Deno.test("Reporter of the format quiet logs no events", async () => {
  const { output, reporter } = setUp("quiet");
  await sayAll(reporter);
  assertEquals(output.written, "");
});

Deno.test("Reporter logs the number of lost lines in its own format", async () => {
  const { output, reporter } = setUp("json");
  const hasFailed = Promise.withResolvers<void>();
  output.failWrites(new Error("No space left on device"), hasFailed.resolve);
  for (let i = 0; i < 20_000; i++) reporter.onJoin(client);
  await hasFailed.promise;
  output.failWrites(null);
  await reporter.flush(30_000);
  const entries = output.written.trim().split("\n").map((line) => JSON.parse(line));
  const { type, lines } = entries.at(-1);
  assertEquals(type, "lost");
  assertEquals(lines, 20_000 - (entries.length - 1));
});
