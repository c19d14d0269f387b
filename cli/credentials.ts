/**
 * Reads the token and the TLS files that the command line names.
 *
 * @module
 */

import type { TlsServerOptions } from "../server.ts";
import { printable } from "../protocol/printable.ts";
import { faultOfToken } from "../protocol/token.ts";
import { StartError, UsageError } from "./errors.ts";
import { readText } from "./files.ts";

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
