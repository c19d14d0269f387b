/**
 * Owns the secrets of the command: reads the token and what TLS needs from where the command line
 * says. Must not know what they are for.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { faultOfToken } from "../protocol/token.ts";
import { StartError, UsageError } from "./errors.ts";
import { readText } from "./files.ts";

/** The environment variable that may hold the token. */
export const TOKEN_VARIABLE = "EBSOCKETS_TOKEN";

/** Where the token comes from: a file, or a text that was given somewhere. */
export type TokenSource =
  | { readonly file: string }
  | { readonly from: string; readonly text: string };

/** The files with what TLS needs. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

/** Certificates and key as PEM text. */
export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

/** What help says of options and variables. */
export const ENVIRONMENT_NOTE =
  "An option counts before the environment. A variable that is empty counts as unset.";

/**
 * What is in the environment under `name`, if Deno permits to look; it is not asked to. An empty
 * variable is as good as none: `NAME= command` is how shells leave one out.
 */
export function inEnvironment(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}

/** The options that say a token. */
export interface TokenValues {
  readonly token: string | undefined;
  readonly "token-file": string | undefined;
}

/**
 * The token that counts: that of an option, or else that before the `@` of the relay's address, or else
 * that of the environment; `null` where there is none.
 *
 * @throws {UsageError} If there are two options, or the text can be no token. It does not show the token.
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
  const texts = [["--token", token], ["The token before @", addressToken], [
    TOKEN_VARIABLE,
    environmentToken,
  ]] as const;
  for (const [from, text] of texts) {
    if (text == null) continue;
    const fault = faultOfToken(text);
    if (fault) throw new UsageError(`${from} must have ${fault}`);
    return { from, text };
  }
  return null;
}

/**
 * The token. Of a file, one line end after it does not count.
 *
 * @throws {StartError} If it cannot be read, or is none.
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
 * What is in the files.
 *
 * @throws {StartError} If one cannot be read.
 */
export async function readTls({ cert, key, clientCa }: TlsFiles): Promise<TlsTexts> {
  return {
    cert: await readText(cert, "the certificate"),
    key: await readText(key, "the private key"),
    ...(clientCa !== undefined && {
      clientCa: await readText(clientCa, "the authority for clients"),
    }),
  };
}
