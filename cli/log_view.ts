/**
 * The layout of the content of a history on disk, and of its faults.
 *
 * @module
 */

import { bold, dim } from "@std/fmt/colors";
import type { LogFault } from "../history/log_check.ts";
import type { LogSurvey } from "../history/survey_log.ts";
import { printable } from "../protocol/printable.ts";
import { countOf, formatBytes, formatDuration, formatExact } from "../protocol/units.ts";
import { type Column, cut, formatTable, wrap } from "./layout.ts";

/** The text between two figures of a line. */
const GAP = "   ";

const NAME_COLUMNS: readonly Column[] = [
  { title: "NAME", shrinks: true },
  { title: "EVENTS", kind: "number" },
];

/**
 * Returns the content of a history as lines for a person.
 *
 * @param path The folder.
 * @param now The current time, in milliseconds since 1970.
 */
export function formatSurvey(
  survey: LogSurvey,
  path: string,
  now: number,
  columns: number,
): string[] {
  const groups = [
    describeEvents(survey),
    ...(survey.oldest === null ? [] : [describeTimes(survey, now)]),
    describeEpochs(survey),
    [describeState(survey), ...describeDamage(survey)],
  ];
  const names = survey.names.map(({ name, events }) => [printable(name), formatExact(events)]);
  const [title, ...rows] = formatTable(NAME_COLUMNS, names, columns);
  return [
    bold(cut(printable(`History in ${path}`), columns)),
    ...groups.flatMap((parts) => wrap(parts, columns, GAP)),
    ...(names.length > 0 ? ["", dim(title!), ...rows] : []),
    ...otherNames(survey).map((line) => cut(line, columns)),
  ];
}

function describeEvents(survey: LogSurvey): string[] {
  const { events, first, last, missing, bytes, files, lastValues } = survey;
  return [
    countOf(events, "event"),
    ...(last >= first ? [`offset ${formatExact(first)} to ${formatExact(last)}`] : []),
    ...(missing > 0 ? [`${formatExact(missing)} missing since a repair`] : []),
    `${formatBytes(bytes)} in ${countOf(files, "file")}`,
    ...(lastValues ? [describeLast(lastValues, last)] : []),
  ];
}

/** Later last events than those in the file are found in the files of the history. */
function describeLast(
  { names, bytes, offset }: NonNullable<LogSurvey["lastValues"]>,
  last: number,
): string {
  const asOf = offset < last ? `, as of offset ${formatExact(offset)}` : "";
  return `last events of ${countOf(names, "name")}, ${formatBytes(bytes)}${asOf}`;
}

function describeTimes({ oldest, newest }: LogSurvey, now: number): string[] {
  const show = (at: number) =>
    `${new Date(at).toISOString().slice(0, 19)}Z, ${formatDuration(now - at)} ago`;
  return [`oldest ${show(oldest!)}`, `newest ${show(newest!)}`];
}

function describeEpochs({ epoch, before }: LogSurvey): string[] {
  const name = epoch === null ? "epoch unknown" : `epoch ${printable(epoch)}`;
  const earlier = before.toReversed().map((each) =>
    `${printable(each.epoch)} up to ${formatExact(each.offset)}`
  );
  return earlier.length === 0 ? [name] : [`${name}, which goes on with`, ...earlier];
}

function describeState({ isInUse, isClosed }: LogSurvey): string {
  if (isInUse) return "in use by a relay";
  return isClosed ? "ended in order" : "not ended in order: a relay begins a new epoch";
}

function describeDamage({ faults, damagedBytes, putAside }: LogSurvey): string[] {
  return [
    ...(faults > 0
      ? [`${countOf(faults, "fault")}, ${formatBytes(damagedBytes)}: --verify names them`]
      : []),
    ...(putAside.length > 0 ? [`${countOf(putAside.length, "damaged file")} put aside`] : []),
  ];
}

function otherNames({ otherNames, uncounted }: LogSurvey): string[] {
  return [
    ...(otherNames > 0 ? [`and ${countOf(otherNames, "other name")}`] : []),
    ...(uncounted > 0 ? [`and ${countOf(uncounted, "event")} of rare names, some of these`] : []),
  ];
}

/** Returns a fault as a line: the file, the offsets, and the reason. */
export function formatLogFault({ file, from, to, text }: LogFault): string {
  return [file, ...describeOffsets(from, to), printable(text)].join(": ");
}

function describeOffsets(from: number | null, to: number | null): string[] {
  if (from === null) return [];
  if (to === null) return [`from event ${from} on`];
  if (to < from) return [`before event ${from}`];
  return [to === from ? `event ${from}` : `events ${from} to ${to}`];
}

/** Returns the result of a check in one line. */
export function formatLogSummary({ events, files, isInUse, faults }: LogSurvey): string {
  return [
    `${countOf(events, "event")} in ${countOf(files, "file")}`,
    countOf(faults, "fault"),
    ...(isInUse ? ["in use by a relay"] : []),
  ].join(", ");
}
