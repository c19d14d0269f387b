import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { checkHistoryOptions, type HistoryOptions } from "../../history/options.ts";

Deno.test("checkHistoryOptions() fills in the defaults, and keeps the events of last values", () => {
  assertEquals(checkHistoryOptions({}), {
    folder: null,
    sync: "ack",
    keep: [">"],
    keepAge: Infinity,
    keepBytes: 67_108_864,
    keepCount: Infinity,
    keepLast: [],
  });
  assertEquals(checkHistoryOptions({ folder: "events" }).keepBytes, 2 ** 30);
  const { keep, keepLast } = checkHistoryOptions({ keep: ["a", "a"], keepLast: ["b.*", "b.*"] });
  assertEquals([keep, keepLast], [["a", "b.*"], ["b.*"]]);
  assertEquals(checkHistoryOptions({ keep: [], keepLast: ["b"] }).keep, ["b"]);
});

Deno.test("checkHistoryOptions() refuses wrong values, and names them", () => {
  const wrong: [HistoryOptions, typeof RangeError | typeof TypeError, string][] = [
    [{ keepAge: 0 }, RangeError, "Invalid history.keepAge: expected milliseconds of at least 1"],
    [
      { keepBytes: 65_535 },
      RangeError,
      "Invalid history.keepBytes: expected an integer from 65536",
    ],
    [{ keepBytes: Infinity }, RangeError, "Invalid history.keepBytes"],
    [{ keepCount: 1.5 }, RangeError, "Invalid history.keepCount: expected an integer"],
    [{ keepCount: "9" as unknown as number }, TypeError, 'got "9"'],
    [{ keep: "a" as unknown as string[] }, TypeError, "Invalid history.keep: expected a list"],
    [{ keep: ["a.>.b"] }, TypeError, 'Invalid history.keep: "a.>.b" is no pattern'],
    [
      { keepLast: [5 as unknown as string] },
      TypeError,
      "Invalid history.keepLast: 5 is no pattern",
    ],
    [{ keep: [] }, TypeError, "Invalid history.keep: expected a pattern"],
    [{ folder: "" }, TypeError, 'Invalid history.folder: expected a path, got ""'],
    [
      { folder: 5 as unknown as string },
      TypeError,
      "Invalid history.folder: expected a path, got 5",
    ],
    [
      { folder: "log", sync: "once" as "ack" },
      TypeError,
      'Invalid history.sync: expected one of "ack", "always", "never", got "once"',
    ],
    [null as unknown as HistoryOptions, TypeError, "Invalid history: expected an object, got null"],
  ];
  for (const [options, error, message] of wrong) {
    assertThrows(() => checkHistoryOptions(options), error, message);
  }
});
