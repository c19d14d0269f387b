/**
 * Writes events as commands for a shell that publish them again.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";

/** A name and keys that need no quoting, and that the command cannot take for anything else. */
const PLAIN_NAME = /^[A-Za-z][\w.]*$/;
const PLAIN_KEY = /^\w+$/;

/** Words that a POSIX shell takes as they are. */
const PLAIN_WORD = /^[\w@%+=:,./-]+$/;

/** An event to publish again. */
export interface Publishable {
  /** The name. */
  readonly name: string;
  /** The attributes. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/**
 * Returns a command that publishes an event: `ebsockets pub chat text='Hello there' n:=1`.
 *
 * @param options The options of the command, such as `--tls`, and the address of the relay, if it is
 * not the default.
 */
export function pubCommand({ name, attributes }: Publishable, options: readonly string[]): string {
  const keys = Object.keys(attributes);
  const start = ["ebsockets", "pub", ...options.map(shellWord)];
  const isPossible = [name, ...keys].every(isPrintable) && name !== "-" &&
    keys.every((key) => key !== "" && !key.includes("="));
  if (!isPossible) {
    const line = shellWord(printable(JSON.stringify({ event: name, __dict__: attributes })));
    return `printf '%s\\n' ${line} | ${[...start, "-"].join(" ")}`;
  }
  const isPlain = PLAIN_NAME.test(name) && keys.every((key) => PLAIN_KEY.test(key));
  const words = keys.map((key) => attributeWord(key, attributes[key]));
  return [...start, ...(isPlain ? [] : ["--"]), ...[name, ...words].map(shellWord)].join(" ");
}

/** Returns an attribute as an argument. Text that a terminal would garble becomes JSON. */
function attributeWord(key: string, value: unknown): string {
  const isText = typeof value === "string" && isPrintable(value) && !key.endsWith(":");
  return isText ? `${key}=${value}` : `${key}:=${printable(JSON.stringify(value))}`;
}

/** Returns `text` as one word of a POSIX shell. */
function shellWord(text: string): string {
  return PLAIN_WORD.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns whether a text can be pasted into a terminal unchanged. */
function isPrintable(text: string): boolean {
  return printable(text) === text && text.isWellFormed();
}

/** The address of a relay that a command takes by default. */
const DEFAULT_HOSTS = ["127.0.0.1:7982", "localhost:7982"];

/** The part of an address of the page that says where its relay is. */
export interface Place {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: string;
  readonly host: string;
}

/** Returns the options of commands for the relay of a page at this location. */
export function commandOptions(
  { protocol, hostname, port, host }: Place,
): string[] {
  if (protocol === "https:") return ["--tls", `${hostname}:${port || 443}`];
  return DEFAULT_HOSTS.includes(host) ? [] : [`${hostname}:${port || 80}`];
}
