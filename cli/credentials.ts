/**
 * Reads the token and the TLS files that the command line names.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { faultOfToken } from "../protocol/token.ts";
import { explainReadError, StartError, UsageError } from "./errors.ts";

/** The environment variable with the token. */
export const TOKEN_VARIABLE = "EBSOCKETS_TOKEN";

/** The environment variable with the NATS servers of the cluster. */
export const CLUSTER_VARIABLE = "EBSOCKETS_CLUSTER";

/** The source of a token: a file, or a text and its origin. */
export type TokenSource =
  | { readonly file: string }
  | { readonly from: string; readonly text: string };

/** The part of the help about options and variables. */
export const ENVIRONMENT_NOTE =
  "An option takes precedence over the environment. An empty variable counts as unset.";

/**
 * Returns the environment variable `name`, or `undefined` if it is unset, empty, or not permitted.
 * It never asks for permission. An empty variable counts as unset because shells clear a variable
 * with `NAME= command`.
 */
export function inEnvironment(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}

/**
 * Resolves to the text of the file at `path`.
 *
 * @param what The expected content, for the error.
 *
 * @throws {StartError} If it cannot be read, or is not text.
 */
export async function readText(path: string, what: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(path));
  } catch (error) {
    throw new StartError(
      `Cannot read ${what} from ${printable(path)}: ${explainReadError(error, path)}`,
    );
  }
}

/** The TLS options of the API: the option of the command line for each, and its file's content. */
const TLS_OPTIONS = {
  caCerts: ["tls-ca", "the authority"],
  cert: ["tls-cert", "the certificate"],
  clientCa: ["tls-client-ca", "the certificate authority for clients"],
  hostname: ["tls-name", null],
  key: ["tls-key", "the private key"],
} as const;

type TlsOption = keyof typeof TLS_OPTIONS;

/** TLS options of the API with the names of files instead of their contents. */
export type TlsFiles = { readonly [name in TlsOption]?: string };

const TLS_NAMES = Object.keys(TLS_OPTIONS) as TlsOption[];

/** Returns an error text with the names of options instead of those of the API. */
export function withFlagNames(message: string): string {
  return TLS_NAMES.reduce(
    (text, name) => text.replaceAll(`tls.${name}`, `--${TLS_OPTIONS[name][0]}`),
    message,
  );
}

/**
 * Returns the TLS options that the command line gives.
 *
 * @throws {UsageError} If only one of a certificate and its key is given.
 */
export function tlsFilesIn(
  values: { readonly [name in typeof TLS_OPTIONS[TlsOption][0]]?: string | undefined },
): TlsFiles {
  if (values["tls-cert"] !== undefined && values["tls-key"] === undefined) {
    throw new UsageError("--tls-cert needs --tls-key too");
  }
  if (values["tls-key"] !== undefined && values["tls-cert"] === undefined) {
    throw new UsageError("--tls-key needs --tls-cert too");
  }
  const given = TLS_NAMES.map((name) => [name, values[TLS_OPTIONS[name][0]]] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** The options with a token. */
export interface TokenValues {
  readonly token: string | undefined;
  readonly "token-file": string | undefined;
}

/**
 * Returns the token of an option, else the one before the `@` of the relay's address, else the one
 * in the environment. Returns `null` without a token.
 *
 * @throws {UsageError} If both options are given, or the text is not a valid token. The message
 * does not contain the token.
 */
export function chooseToken(
  { token, "token-file": file }: TokenValues,
  environmentToken: string | undefined,
  addressToken?: string | null,
): TokenSource | null {
  if (token !== undefined && file !== undefined) {
    throw new UsageError("--token-file and --token exclude each other");
  }
  if (file !== undefined) return { file };
  const texts = {
    "--token": token,
    "The token before @": addressToken,
    [TOKEN_VARIABLE]: environmentToken,
  };
  for (const [from, text] of Object.entries(texts)) {
    if (text == null) continue;
    const fault = faultOfToken(text);
    if (fault) throw new UsageError(`${from} must have ${fault}`);
    return { from, text };
  }
  return null;
}

/**
 * Resolves to the token. One line end at the end of a file is ignored.
 *
 * @throws {StartError} If it cannot be read, or is invalid.
 */
export async function readToken(source: TokenSource): Promise<string> {
  if ("text" in source) return source.text;
  const text = await readText(source.file, "the token");
  const token = text.replace(/\r?\n$/, "");
  const fault = faultOfToken(token);
  if (!fault) return token;
  throw new StartError(`Cannot use the token in ${printable(source.file)}: it must have ${fault}`);
}

/**
 * Resolves to the options with the contents of the files.
 *
 * @throws {StartError} If one cannot be read.
 */
export async function readTls<F extends TlsFiles>(files: F): Promise<F> {
  const contents: Record<string, string> = {};
  for (const [name, value] of Object.entries(files)) {
    const what = TLS_OPTIONS[name as TlsOption][1];
    contents[name] = what === null ? value : await readText(value, what);
  }
  return contents as F;
}
