/**
 * The language between the relays of a cluster: messages over the backplane, and control lines on the
 * link between two relays. See "Clusters" in PROTOCOL.md.
 *
 * The decoders trust no member, since a stranger may publish on the same backplane.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { LF } from "./ascii.ts";
import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import { type ClientReport, decodeClients } from "./report.ts";
import { isName } from "./names.ts";
import { faultOfPattern } from "./pattern.ts";
import { byteLength, decoder, encoder } from "./utf8.ts";

/** The version of this language. */
export const CLUSTER_VERSION = 1;

/** Most bytes of the head of a message with a part of a link's stream. */
export const MAX_LINK_HEAD_BYTES = 256;

/** A number in the head of a link's message. */
const COUNT = /^\d{1,15}$/;

/** Stands for the receiver's end of a link that the sender does not know. */
const NO_PEER = "?";

/** Most bytes of queues in one line before an event, and most queues in all of them. */
const MAX_NEXT_BYTES = 65_536;
const MAX_QUEUES = 65_536;

/** An ID of a relay: `r` and eight random characters. */
const RELAY_ID = /^r[0-9A-Za-z_-]{8}$/;

/** An ID of one end of a link. */
const SESSION = /^[0-9A-Za-z_-]{8}$/;

/** The options that all relays of a cluster must have in common. */
export interface ClusterTerms {
  /** The longest line, in bytes without its end. */
  readonly maxLineBytes: number;
  /** How deep a line may nest. */
  readonly maxDepth: number;
  /** Whether clients receive their own events. */
  readonly echo: boolean;
  /** Whether clients receive nothing until they subscribe. */
  readonly subscribeFirst: boolean;
  /** The names of the defined events, or `null` if every event is permitted. */
  readonly events: readonly string[] | null;
  /** The patterns of the events of which the last one is kept for each name. */
  readonly keepLast: readonly string[];
  /** The patterns of all events that are kept, or `null` without a history. */
  readonly keep: readonly string[] | null;
}

/** The head of a message with a part of a link's stream. */
export interface LinkHead {
  readonly control: "link";
  /** The relay that sends it. */
  readonly relay: string;
  /** The sender's end of the link. */
  readonly session: string;
  /** The receiver's end as the sender knows it, or an empty string if it does not. */
  readonly peer: string;
  /** The number of the part in the message, or of the last one before. */
  readonly number: number;
  /** The number of the last part that the sender has read. */
  readonly taken: number;
  /** The first part that the sender lacks, if one is missing. */
  readonly again?: number | undefined;
}

/** The regular sign of life of a relay. */
export interface Here {
  readonly control: "here";
  readonly relay: string;
  readonly version: number;
  /** How long the relay has been there, in milliseconds. */
  readonly upMs: number;
  readonly terms: ClusterTerms;
  /** Whether the others shall answer at once, because the relay has just come. */
  readonly isNew: boolean;
}

/** The last message of a relay. */
export interface Bye {
  readonly control: "bye";
  readonly relay: string;
  /** Whether some of its events have not been read by the other relays. */
  readonly hasRest: boolean;
}

/** The head of a message over the backplane. */
export type ClusterHead = LinkHead | Here | Bye;

/** Returns the line that a message begins with, before its part of a stream. */
export function encodeMessage(head: ClusterHead): Uint8Array {
  return encoder.encode(`${head.control === "link" ? toText(head) : encodeJson(toJson(head))}\n`);
}

/** Returns the head of a link's message. It is short, since some messages hold a single line. */
function toText({ relay, session, peer, number, taken, again }: LinkHead): string {
  const text = `link ${relay} ${session} ${peer || NO_PEER} ${number} ${taken}`;
  return again === undefined ? text : `${text} ${again}`;
}

function toJson(head: Here | Bye): object {
  if (head.control === "bye") {
    return { ...head, hasRest: undefined, rest: head.hasRest || undefined };
  }
  const { upMs, terms, isNew, ...members } = head;
  return {
    ...members,
    up_ms: upMs,
    max_line_bytes: terms.maxLineBytes,
    max_depth: terms.maxDepth,
    echo: terms.echo,
    subscribe_first: terms.subscribeFirst,
    ...terms.events && { events: terms.events },
    ...terms.keepLast.length > 0 && { keep_last: terms.keepLast },
    ...terms.keep && { keep: terms.keep },
    ...isNew && { new: true },
  };
}

/** Returns the head of a message and the part behind it, or `null` if it is not valid. */
export function decodeMessage(
  message: Uint8Array,
): { head: ClusterHead; part: Uint8Array } | null {
  const end = message.indexOf(LF);
  if (end === -1) return null;
  const head = decodeHead(message.subarray(0, end));
  return head && { head, part: message.subarray(end + 1) };
}

function decodeHead(line: Uint8Array): ClusterHead | null {
  const text = decoder.decode(line);
  if (text.startsWith("link ")) return decodeLinkHead(text.split(" "));
  let members: Record<string, unknown>;
  try {
    members = Object(JSON.parse(text));
  } catch {
    return null;
  }
  const { control, relay } = members;
  if (typeof relay !== "string" || !RELAY_ID.test(relay)) return null;
  if (control === "bye") return { control, relay, hasRest: members.rest === true };
  return control === "here" ? decodeHere(relay, members) : null;
}

function decodeHere(relay: string, members: Record<string, unknown>): Here | null {
  const { version, up_ms, max_line_bytes, max_depth, echo, subscribe_first } = members;
  const { events, keep_last = [], keep } = members;
  if (!isCount(version) || !isCount(up_ms)) return null;
  if (!isCount(max_line_bytes) || !isCount(max_depth)) return null;
  if (events !== undefined && !isNames(events)) return null;
  if (!isPatterns(keep_last) || keep !== undefined && !isPatterns(keep)) return null;
  const terms = {
    maxLineBytes: max_line_bytes,
    maxDepth: max_depth,
    echo: echo === true,
    subscribeFirst: subscribe_first === true,
    events: events ?? null,
    keepLast: keep_last,
    keep: keep ?? null,
  };
  return { control: "here", relay, version, upMs: up_ms, terms, isNew: members.new === true };
}

function decodeLinkHead(words: readonly string[]): LinkHead | null {
  const [, relay = "", session = "", end = "", ...numbers] = words;
  if (!RELAY_ID.test(relay) || !SESSION.test(session)) return null;
  const peer = end === NO_PEER ? "" : end;
  if (peer !== "" && !SESSION.test(peer) || !numbers.every((each) => COUNT.test(each))) return null;
  const [number, taken, again] = numbers.map(Number);
  if (number === undefined || taken === undefined || numbers.length > 3) return null;
  return { control: "link", relay, session, peer, number, taken, again };
}

/** The line before an event on a link that needs more than its subscribers. */
export interface Next {
  /** Under which number the other relay wants to know how many clients it was queued for. */
  readonly number?: number | undefined;
  /** The queues of which one client shall receive it. */
  readonly queues?: readonly string[] | undefined;
  /** Whether no other client shall, since those have received it. */
  readonly only?: boolean | undefined;
  /** Whether the event is handed back, so that its relay chooses anew for these queues. */
  readonly back?: boolean | undefined;
}

/** Returns the line that blocks of the history refer to, if the events before it come first. */
export function encodeMark(mark: number): Uint8Array {
  return encode({ control: "mark", mark });
}

/** Returns the number of a mark, or `null` for any other line. */
export function decodeMark({ control, mark }: ControlLine): number | null {
  return control === "mark" && isCount(mark) ? mark : null;
}

/** Returns the line before events that come after the history up to an offset. */
export function encodeAfter(offset: number): Uint8Array {
  return encode({ control: "after", offset });
}

/** Returns this offset, or `null` for any other line. */
export function decodeAfter({ control, offset }: ControlLine): number | null {
  return control === "after" && isCount(offset) ? offset : null;
}

/** How many clients of a relay an event was queued for. */
export interface Reached {
  readonly number: number;
  readonly clients: number;
}

/** Returns the line before an event, or several if there are very many queues. */
export function encodeNext({ number, queues, only, back }: Next): Uint8Array {
  const [first, ...others] = queues ? split(queues) : [undefined];
  const flags = { only: only || undefined, back: back || undefined };
  return concat([
    encode({ control: "next", number, queues: first, ...flags }),
    ...others.map((some) => encode({ control: "next", queues: some })),
  ]);
}

/** Splits names into those of one line each. */
function split(names: readonly string[]): string[][] {
  const parts: string[][] = [[]];
  let bytes = 0;
  for (const name of names) {
    const size = byteLength(encodeJson(name)) + 1;
    if (bytes + size > MAX_NEXT_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(name);
    bytes += size;
  }
  return parts;
}

/** Returns what two lines before an event say together. */
export function joinNext(first: Next, second: Next): Next {
  return {
    number: first.number ?? second.number,
    queues: [...first.queues ?? [], ...second.queues ?? []].slice(0, MAX_QUEUES),
    only: first.only || second.only,
    back: first.back || second.back,
  };
}

/** Returns the content of the line before an event, or `null` for any other line. */
export function decodeNext({ control, number, queues, only, back }: ControlLine): Next | null {
  if (control !== "next") return null;
  return {
    number: isCount(number) ? number : undefined,
    queues: isNames(queues) ? queues : undefined,
    only: only === true,
    back: back === true,
  };
}

/** Returns the lines of answers to {@link Next.number}. */
export function encodeReached(answers: readonly Reached[]): Uint8Array {
  const lines = answers.map(({ number, clients }) =>
    encodeJson({ control: "reached", number, clients })
  );
  return encoder.encode(`${lines.join("\n")}\n`);
}

/** Returns an answer, or `null` for any other line. */
export function decodeReached({ control, number, clients }: ControlLine): Reached | null {
  if (control !== "reached" || !isCount(number) || !isCount(clients)) return null;
  return { number, clients };
}

function encode(line: object): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isName);
}

/** A change of a relay's interest. */
export interface InterestChange {
  /** The number of the change, which the answer repeats. */
  readonly version: number;
  /** Patterns that some client hears from now on. */
  readonly add: readonly string[];
  /** Patterns that no client hears any more. */
  readonly drop: readonly string[];
  /** Patterns of queues, and how many clients each has now. */
  readonly queues: readonly QueueInterest[];
  /** Whether the interest of the relay is now complete. */
  readonly isWhole: boolean;
}

/** How many clients of a relay hear a pattern as members of a queue. */
export type QueueInterest = readonly [queue: string, pattern: string, members: number];

/** Returns the line of a change. */
export function encodeInterest(change: InterestChange): Uint8Array {
  const { version, add, drop, queues, isWhole } = change;
  const listed = <T>(list: readonly T[]) => list.length > 0 ? list : undefined;
  return encode({
    control: "interest",
    version,
    add: listed(add),
    drop: listed(drop),
    queues: listed(queues),
    whole: isWhole || undefined,
  });
}

/** Returns a change, or `null` if `line` is not a valid one. */
export function decodeInterest(line: ControlLine): InterestChange | null {
  const { control, version, add = [], drop = [], queues = [], whole } = line;
  if (control !== "interest" || !isCount(version)) return null;
  if (!isPatterns(add) || !isPatterns(drop)) return null;
  if (!Array.isArray(queues) || !queues.every(isQueueInterest)) return null;
  return { version, add, drop, queues, isWhole: whole === true };
}

function isQueueInterest(value: unknown): value is QueueInterest {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [queue, pattern, members] = value;
  return isName(queue) && isPatterns([pattern]) && isCount(members);
}

function isPatterns(value: unknown): value is string[] {
  return Array.isArray(value) &&
    value.every((pattern) => typeof pattern === "string" && faultOfPattern(pattern) === "");
}

/** Returns the line that confirms a change. */
export function encodeHeld(version: number): Uint8Array {
  return encode({ control: "held", version });
}

/** Returns the number of a confirmed change, or `null` for any other line. */
export function decodeHeld({ control, version }: ControlLine): number | null {
  return control === "held" && isCount(version) ? version : null;
}

/** Returns the line that stands for events for which there was no room. */
export function encodeLost(events: number): Uint8Array {
  return encode({ control: "lost", events });
}

/** Returns the number of events that were lost, or `null` for any other line. */
export function decodeLost({ control, events }: ControlLine): number | null {
  return control === "lost" && isCount(events) ? events : null;
}

/** The first line of a link. */
export interface Start {
  /** How many events the sender has had for the other relay, over earlier links, too. */
  readonly events: number;
  /** Whether the sender had held the other relay to be gone, and had no events for it meanwhile. */
  readonly wasAway: boolean;
}

/** Returns the first line of a link. */
export function encodeStart({ events, wasAway }: Start): Uint8Array {
  return encode({ control: "start", events, away: wasAway || undefined });
}

/** Returns the content of the first line of a link, or `null` for any other line. */
export function decodeStart({ control, events, away }: ControlLine): Start | null {
  return control === "start" && isCount(events) ? { events, wasAway: away === true } : null;
}

/** Returns the line that asks another relay for its clients. */
export function encodeWho(): Uint8Array {
  return encode({ control: "who" });
}

/** Returns the answer to it. */
export function encodeClients(clients: readonly ClientReport[]): Uint8Array {
  return encode({ control: "clients", clients });
}

/** Returns the clients in an answer, as those of `relay`, or `null` for any other line. */
export function decodeClientsOf(relay: string, line: ControlLine): readonly ClientReport[] | null {
  if (line.control !== "clients") return null;
  return decodeClients(line.clients)?.map((client) => ({ ...client, relay })) ?? null;
}
