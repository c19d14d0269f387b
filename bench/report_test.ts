import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { lines } from "./wire.ts";
import { type Present, writeReport } from "./report.ts";
import type { Sample } from "./sample.ts";
import type { Scenario } from "./scenarios.ts";
import { textOf } from "../tests/support/bytes.ts";

/** A peer that is never started. */
function present(name: string, libraryVersion?: string): Present {
  const start = {
    install: "",
    prepare: () => Promise.resolve(null),
    command: () => ({ program: "", args: [] }),
  };
  const library = { ...start, name: `${name} library`, uses: ["events"] as const };
  return {
    peer: { ...start, name, about: "", wire: lines, libraries: [library] },
    version: "1",
    libraries: libraryVersion === undefined ? [] : [{ library, version: libraryVersion }],
  };
}

function scenario(name: string, figures: readonly (keyof Sample)[]): Scenario {
  return { name, title: `About ${name}`, echo: false, figures, measure: () => Promise.reject() };
}

const PRESENT = [present("copier"), present("ebsockets", "2"), present("nats-server")];
const SCENARIOS = [
  scenario("one", ["cpuMicros", "eventsPerSecond"]),
  scenario("two", ["p50Micros", "p99Micros"]),
];

const report = writeReport(
  {
    machine: "a machine",
    commit: "abc",
    command: "a command",
    repeat: 3,
    pinned: true,
    skipped: [{ name: "redis", install: "apt-get install redis-server" }],
    cells: new Map<string, Sample[]>([
      ["one/copier", [{ cpuMicros: 1, eventsPerSecond: 5000 }]],
      ["one/ebsockets", [1, 9, 2].map((cpuMicros) => ({ cpuMicros, eventsPerSecond: 1e6 }))],
      ["one/nats-server", [{ cpuMicros: 8, eventsPerSecond: 400 }]],
      ["two/ebsockets", [{ p50Micros: 30, p99Micros: 60 }]],
      ["two/nats-server", [{ p50Micros: 20, p99Micros: null }]],
    ]),
  },
  SCENARIOS,
  PRESENT,
);

/** The table in the section with a heading, as cells. */
function section(heading: string): string[][] {
  const [, text = ""] = report.split(`## ${heading}\n`);
  const rows = text.split("\n## ")[0]!.split("\n").filter((line) => line.startsWith("|"));
  return rows.toSpliced(1, 1).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("writeReport() has median, range, and ratios of medians", () => {
  assertEquals(section("About one"), [
    ["server", "server CPU µs/event", "÷ nats-server", "÷ copier", "events/s"],
    ["copier", "1.00 (1.00–1.00)", "0.13", "1.00", "5,000 (5,000–5,000)"],
    ["ebsockets", "2.00 (1.00–9.00)", "0.25", "2.00", "1,000,000 (1,000,000–1,000,000)"],
    ["nats-server", "8.00 (8.00–8.00)", "1.00", "8.00", "400 (400–400)"],
  ]);
});

Deno.test("writeReport() leaves out absent peers, and shows n/a for missing values", () => {
  assertEquals(section("About two"), [
    ["server", "p50 µs", "÷ nats-server", "p99 µs", "÷ nats-server"],
    ["ebsockets", "30 (30–30)", "1.50", "60 (60–60)", "n/a"],
    ["nats-server", "20 (20–20)", "1.00", "n/a", "n/a"],
  ]);
});

Deno.test("writeReport() lists skipped peers, with the command that installs them", () => {
  assertEquals(section("Servers").at(-1), ["redis", "skipped", "`apt-get install redis-server`"]);
  assertEquals(section("Servers").length, 1 + PRESENT.length + 1);
});

Deno.test("writeReport() lists the client libraries that are here", () => {
  assertEquals(section("Client libraries").slice(1), [["ebsockets", "ebsockets library", "2"]]);
});

Deno.test("writeReport() describes the method", () => {
  assertMatch(report, /Machine: a machine\n- Commit: abc\n- Command: `a command`\n.* of 3\n/);
});

Deno.test("writeReport() writes formatted Markdown", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--line-width", "100", "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [{ stdout }] = await Promise.all([
    child.output(),
    new Blob([report]).stream().pipeTo(child.stdin),
  ]);
  assertEquals(textOf(stdout), report);
});
