/**
 * Reads the token and the TLS files that the command line names.
 *
 * @module
 */

import type { TlsServerOptions } from "../server.ts";
import { printable } from "../protocol/printable.ts";
import { faultOfToken } from "../protocol/token.ts";
import { explainReadError, StartError, UsageError } from "./errors.ts";

/** The environment variable with the token. */
export const TOKEN_VARIABLE = "EBSOCKETS_TOKEN";

/** The source of a token: a file, or a text and its origin. */
export type TokenSource =
  | { readonly file: string }
  | { readonly from: string; readonly text: string };

/** The TLS files of a relay. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

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

/** The options that give the TLS options of the API. */
const TLS_FLAGS: Readonly<Record<string, string>> = {
  caCerts: "--tls-ca",
  cert: "--tls-cert",
  clientCa: "--tls-client-ca",
  hostname: "--tls-name",
  key: "--tls-key",
};

/** Returns an error text with the names of options instead of those of the API. */
export function withFlagNames(message: string): string {
  return message.replaceAll(/tls\.(\w+)/g, (name, key) => TLS_FLAGS[key] ?? name);
}

/** Throws a `UsageError` if only one of a certificate and its key is given. */
export function checkKeyPair(cert: string | undefined, key: string | undefined): void {
  if (cert !== undefined && key === undefined) {
    throw new UsageError("--tls-cert needs --tls-key too");
  }
  if (key !== undefined && cert === undefined) {
    throw new UsageError("--tls-key needs --tls-cert too");
  }
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
 * Resolves to the contents of the files.
 *
 * @throws {StartError} If one cannot be read.
 */
export async function readTls({ cert, key, clientCa }: TlsFiles): Promise<TlsServerOptions> {
  return {
    cert: await readText(cert, "the certificate"),
    key: await readText(key, "the private key"),
    ...(clientCa !== undefined && {
      clientCa: await readText(clientCa, "the certificate authority for clients"),
    }),
  };
}
