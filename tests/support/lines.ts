/**
 * The random inputs of the property tests: JSON text, lines near and far from the rules, and
 * events.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { EbsocketEvent } from "../../protocol/event.ts";
import { cutAt, utf8 } from "./bytes.ts";

/**
 * How many cases a property test tries: `EBSOCKETS_FUZZ_RUNS` where the environment may be read and
 * has it, otherwise `usual`.
 */
export function fuzzRuns(usual: number): number {
  const name = "EBSOCKETS_FUZZ_RUNS";
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  const wish = Number(state === "granted" ? Deno.env.get(name) : undefined);
  return Number.isInteger(wish) && wish > 0 ? wish : usual;
}

/** White space between the tokens of a line: mostly none. */
const space = fc.constantFrom("", "", "", "", " ", "\t", "\r", " \t ");

/** What stands between the quotes of a string, in pieces. */
const stringPiece = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: fc.constantFrom(..."ab Z09_{}[],:/'") }) },
  { weight: 2, arbitrary: fc.constantFrom("é", "€", "😀", "\u0085", "\u2028", "\ufeff", "\x7f") },
  {
    weight: 2,
    arbitrary: fc.constantFrom('\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "\\u0000",
      "\\u00e9",
      "\\u00E9",
      "\\ud83d\\ude00",
      "\\ud800",
      "\\u2028",
    ),
  },
);
const string = fc.array(stringPiece, { maxLength: 4 }).map((pieces) => `"${pieces.join("")}"`);

/** Strings about as long as a name may be. */
const longString = fc.tuple(
  fc.constantFrom("a", "é", "😀", "\\u00e9", "\\ud83d\\ude00", "\\n"),
  fc.constantFrom(63, 64, 84, 85, 86, 127, 128, 254, 255, 256),
  fc.constantFrom("", "b", "bb", "bbb"),
).map(([char, count, rest]) => `"${char.repeat(count)}${rest}"`);

const number = fc.tuple(
  fc.constantFrom("", "-"),
  fc.constantFrom("0", "7", "10", "123456789012345678901234567890"),
  fc.constantFrom("", "", ".0", ".250"),
  fc.constantFrom("", "", "e1", "E+2", "e-03", "e400"),
).map((parts) => parts.join(""));

const scalar = fc.oneof(fc.constantFrom("true", "false", "null"), number, string);

const { json } = fc.letrec<{ json: string; array: string; object: string }>((tie) => ({
  json: fc.oneof({ maxDepth: 4, depthSize: "small" }, scalar, tie("array"), tie("object")),
  array: fc.tuple(space, fc.array(tie("json"), { maxLength: 3 })).map(([gap, items]) =>
    `[${gap}${items.join(`${gap},${gap}`)}${gap}]`
  ),
  object: fc.tuple(space, fc.array(fc.tuple(string, tie("json")), { maxLength: 3 })).map((
    [gap, members],
  ) => `{${gap}${members.map(([key, value]) => `${key}${gap}:${value}`).join(`,${gap}`)}${gap}}`),
}));

/** The text of any JSON value, in all the ways of writing it. */
export const jsonText: fc.Arbitrary<string> = json;

const PROTOCOL_KEYS = [
  "event",
  "__dict__",
  "control",
  "id",
  "reply_to",
  "from",
  "to",
  "seq",
  "ack",
];

/** A key that means something, spelled plainly or with one character escaped. */
const protocolKey = fc.tuple(fc.constantFrom(...PROTOCOL_KEYS), fc.nat(40)).map(([key, at]) => {
  const char = key[at];
  if (char === undefined) return `"${key}"`;
  const code = char.charCodeAt(0).toString(16).padStart(4, "0");
  return `"${key.slice(0, at)}\\u${code}${key.slice(at + 1)}"`;
});

const member = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(protocolKey, json) },
  { weight: 2, arbitrary: fc.tuple(string, json) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom('"id"', '"seq"', '"x"', '"reason"'), scalar) },
);

const nameMember = fc.tuple(
  fc.constantFrom('"event"', '"event"', '"event"', '"control"', '"\\u0065vent"'),
  fc.oneof({ weight: 3, arbitrary: string }, { weight: 1, arbitrary: longString }),
);

const attributesMember = fc.tuple(
  fc.constant('"__dict__"'),
  fc.oneof(
    { weight: 4, arbitrary: json.map((value) => `{"a":${value}}`) },
    { weight: 1, arbitrary: json },
    { weight: 1, arbitrary: fc.integer({ min: 60, max: 66 }).map((n) => nested(n)) },
  ),
);

/** `n` arrays and objects inside one another. */
function nested(n: number): string {
  let text = "0";
  for (let i = 0; i < n; i++) text = i % 2 ? `[${text}]` : `{"":${text}}`;
  return text;
}

/** Lines as a careless client would write them: most are events, many have the wrong shape. */
const objectLine = fc.tuple(
  space,
  fc.option(nameMember, { freq: 8, nil: undefined }),
  fc.option(attributesMember, { freq: 2, nil: undefined }),
  fc.array(member, { maxLength: 2 }),
  fc.boolean(),
).map(([gap, name, attributes, others, nameFirst]) => {
  const rest = attributes ? [attributes, ...others] : others;
  const members = !name ? rest : nameFirst ? [name, ...rest] : [...rest, name];
  const text = members.map(([key, value]) => `${key}${gap}:${gap}${value}`);
  return `${gap}{${gap}${text.join(`${gap},${gap}`)}${gap}}${gap}`;
});

/** The text of a line without its `\n`: always JSON, not always an event or a control line. */
export const jsonLine: fc.Arbitrary<string> = fc.oneof(
  { weight: 9, arbitrary: objectLine },
  { weight: 1, arbitrary: json },
);

/** One change of a line of bytes; `at` is a place in thousandths of its length. */
export type Mutation = { type: string; at: number; byte: number };

/** Bytes that are likely to matter, and any others, but for `\n`. */
const byte = fc.oneof(
  fc.constantFrom(...utf8(`"\\{}[],:-+.0eEutn \t\r\0`), 0x1f, 0x7f, 0x80, 0xbf, 0xc0, 0xc3, 0xed),
  fc.integer({ min: 0, max: 255 }).filter((byte) => byte !== 0x0a),
);

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  type: fc.constantFrom("replace", "flip", "insert", "delete", "duplicate", "truncate"),
  at: fc.nat(999),
  byte,
}, { noNullPrototype: true });

/** `line` with one change. It never gets a `\n` that it did not have. */
export function mutate(line: Uint8Array, { type, at, byte }: Mutation): Uint8Array {
  const i = Math.floor(at * line.length / 1000);
  const before = line.subarray(0, i);
  const here = line.subarray(i, i + 1);
  const after = line.subarray(i + 1);
  switch (type) {
    case "replace":
      return concat([before, Uint8Array.of(byte), after]);
    case "flip":
      return concat([before, here.map((old) => flip(old, byte)), after]);
    case "insert":
      return concat([before, Uint8Array.of(byte), here, after]);
    case "delete":
      return concat([before, after]);
    case "duplicate": {
      // A piece rather than a byte, so that whole members get doubled now and then.
      const piece = line.subarray(i, i + 1 + byte % 16);
      return concat([before, piece, here, after]);
    }
    default:
      return before;
  }
}

/** `old` with one bit changed, unless that makes it a `\n`. */
function flip(old: number, choice: number): number {
  const flipped = old ^ 1 << choice % 8;
  return flipped === 0x0a ? old : flipped;
}

/** Any bytes but `\n`. */
export const randomLine: fc.Arbitrary<Uint8Array> = fc.array(byte, { maxLength: 24 })
  .map((bytes) => Uint8Array.from(bytes));

/** Whole streams: lines good and bad, kept alive, doubled ends, and perhaps an end without `\n`. */
export const stream: fc.Arbitrary<Uint8Array> = fc.tuple(
  fc.constantFrom("", "", "\ufeff"),
  fc.array(fc.tuple(streamLine(), fc.constantFrom("\n", "\n", "\r\n", "\n\n")), { maxLength: 6 }),
  fc.constantFrom("", "", "\r", "{", "\ufeff"),
).map(([start, lines, end]) =>
  concat([utf8(start), ...lines.flatMap(([line, stop]) => [line, utf8(stop)]), utf8(end)])
);

function streamLine(): fc.Arbitrary<Uint8Array> {
  const good = fc.constantFrom(
    '{"event":"a"}',
    '{"control":"x"}',
    '{"event":"é","__dict__":{"b":1}}',
  );
  const changed = fc.tuple(jsonLine, fc.array(mutation, { maxLength: 1 }));
  return fc.oneof(
    { weight: 6, arbitrary: good.map(utf8) },
    { weight: 3, arbitrary: jsonLine.map(utf8) },
    { weight: 1, arbitrary: changed.map(([line, changes]) => changes.reduce(mutate, utf8(line))) },
    { weight: 1, arbitrary: randomLine },
  );
}

/** Where to cut: fractions of a length, so that one choice fits streams of any length. */
export const cutFractions: fc.Arbitrary<number[]> = fc.array(fc.nat(999), { maxLength: 12 });

/** The pieces of `bytes` for some {@link cutFractions}. */
export function cutInto(bytes: Uint8Array, fractions: number[]): Uint8Array<ArrayBuffer>[] {
  const cuts = fractions.map((each) => Math.floor(each * (bytes.length + 1) / 1000));
  return cutAt(bytes, cuts.sort((a, b) => a - b));
}

/** Any UTF-16 code unit, and more often than by chance one that is trouble somewhere. */
const codeUnit = fc.oneof(
  fc.constantFrom(...'ab"\\/\n\r\t\0\x1b\u0085\u2028\u2029\u202e\ufeff', "😀", "\ud800", "\udc00"),
  fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
);

/** Strings of at most about `maxLength` code units, lone surrogates included. */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: codeUnit, maxLength });
}

const anyString = anyText(12);

/** Keys that are dangerous in JavaScript or that mean something elsewhere. */
export const DANGEROUS_KEYS: readonly string[] = [
  "event",
  "event_data",
  "self",
  "__dict__",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "toJSON",
  "then",
  "length",
  "0",
  "",
];

const attributeKey = fc.oneof(fc.constantFrom(...DANGEROUS_KEYS), anyString);

/** Values that JSON carries. `-0` is left out, since `JSON.stringify` writes it as `0`. */
const { attribute } = fc.letrec<{ attribute: unknown }>((tie) => ({
  attribute: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    anyString,
    fc.constantFrom(true, false, null, 0, 1e21, Number.MAX_SAFE_INTEGER, Number.MIN_VALUE),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.array(tie("attribute"), { maxLength: 3 }),
    attributesOf(tie("attribute")),
  ),
}));

function attributesOf(value: fc.Arbitrary<unknown>): fc.Arbitrary<Record<string, unknown>> {
  // `fromEntries` defines `__proto__` as a property like any other.
  return fc.array(fc.tuple(attributeKey, value), { maxLength: 4 })
    .map((entries) => Object.fromEntries(entries));
}

/** The attributes of an event. */
export const attributes: fc.Arbitrary<Record<string, unknown>> = attributesOf(attribute);

/** Any event that can be sent. */
export const event: fc.Arbitrary<EbsocketEvent> = fc.tuple(
  anyString.filter((name) => name !== "" && utf8(name).length <= 255),
  attributes,
).map(([name, attributes]) => new EbsocketEvent(name, attributes));

/** An event in a form that can be compared, whatever its attributes are called. */
export function show({ event, __dict__ }: EbsocketEvent): string {
  return JSON.stringify([event, __dict__]);
}
