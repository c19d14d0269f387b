/**
 * The lines that are measured, the same in every benchmark. They are made with `JSON.stringify`
 * alone, so that the code under measurement takes no part in making them.
 *
 * @module
 */

const encoder = new TextEncoder();

/** The length of a message line, in bytes with its `\n`: a chat message with who and when. */
export const LINE_BYTES = 146;

/** All sequence numbers have ten digits, and so all message lines have one length. */
const FIRST_SEQ = 1_000_000_000;

const SENTENCE = "The quick brown fox jumps over the lazy dog. ";

/** What {@link messageAttributes} and {@link messageEvents} vary. */
export interface MessageOptions {
  /** The length of the line, in bytes with its `\n`. */
  readonly bytes?: number;
  /** Who says it. */
  readonly user?: string;
  /** The name of the event. */
  readonly event?: string;
}

/** The attributes of message number `index`. */
export function messageAttributes(
  index: number,
  { bytes = LINE_BYTES, user = "alice", event = "message" }: MessageOptions = {},
): { seq: number; user: string; content: string } {
  const attributes = { seq: FIRST_SEQ + index, user, content: "" };
  const rest = bytes - toLine(event, attributes).length;
  attributes.content = SENTENCE.repeat(Math.ceil(rest / SENTENCE.length)).slice(0, rest);
  return attributes;
}

/** `count` messages without their line ends, no two of them alike. */
export function messageEvents(count: number, options: MessageOptions = {}): Uint8Array[] {
  const { event = "message" } = options;
  const attributes = messageAttributes(0, options);
  return Array.from({ length: count }, (_, i) => {
    attributes.seq = FIRST_SEQ + i;
    return encoder.encode(toLine(event, attributes).slice(0, -1));
  });
}

/** `count` lines of {@link LINE_BYTES} each, no two of them alike. */
export function messageLines(count: number): Uint8Array<ArrayBuffer> {
  const { seq, ...rest } = messageAttributes(0);
  const attributes = { seq, ...rest };
  const bytes = new Uint8Array(count * LINE_BYTES);
  for (let i = 0; i < count; i++) {
    attributes.seq = seq + i;
    encoder.encodeInto(toLine("message", attributes), bytes.subarray(i * LINE_BYTES));
  }
  return bytes;
}

/** `count` lines of 16 KiB each, nearly all of it one string. */
export function longLines(count: number): Uint8Array<ArrayBuffer> {
  const length = 16_384 - toLine("file", { data: "" }).length;
  return encoder.encode(toLine("file", { data: "x".repeat(length) }).repeat(count));
}

/** `count` lines of numbers, short keys and brackets, nested 19 deep. */
export function numberLines(count: number): Uint8Array<ArrayBuffer> {
  const rows = Array.from({ length: 8 }, (_, i) => [i, -i * 1.5, i / 7, i * 1e21, -1e-9 * i]);
  let tree: object = { ok: true, none: null };
  for (let i = 0; i < 8; i++) tree = { i, x: [tree, i * 0.1] };
  return encoder.encode(toLine("sample", { t: 1753.25, rows, tree }).repeat(count));
}

/** `count` lines of text that is mostly not ASCII, with escapes in between. */
export function unicodeLines(count: number): Uint8Array<ArrayBuffer> {
  const content = 'Zwölf Boxkämpfer \\ "Съешь же ещё" \n 色は匂へど 散りぬるを 🦊🐶';
  return encoder.encode(toLine("message", { user: "Zoë", content }).repeat(count));
}

/** `bytes` in pieces of at most `size` bytes. */
export function toChunks(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let i = 0; i < bytes.length; i += size) chunks.push(bytes.subarray(i, i + size));
  return chunks;
}

function toLine(event: string, attributes: object): string {
  return `${JSON.stringify({ event, __dict__: attributes })}\n`;
}
