/**
 * Credentials for a NATS server that knows its users by signatures alone, as those that `nsc` makes.
 *
 * @module
 */

import { nkeys } from "@nats-io/nats-core";

/** Credentials, and the configuration of a server that accepts them. */
export interface NatsCredentials {
  /** The text of a credentials file. */
  readonly text: string;
  readonly config: string;
}

/** Makes an operator, an account and a user. */
export function makeCredentials(): NatsCredentials {
  const [operator, account, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ];
  const unlimited = { subs: -1, data: -1, payload: -1 };
  const limits = { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const operatorJwt = sign(operator, operator, { type: "operator" });
  const accountJwt = sign(operator, account, { type: "account", limits });
  const userJwt = sign(account, user, { type: "user", ...unlimited, pub: {}, sub: {} });
  const seed = new TextDecoder().decode(user.getSeed());
  return {
    text: `-----BEGIN NATS USER JWT-----\n${userJwt}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    config: `operator: ${operatorJwt}\nresolver: MEMORY\n` +
      `resolver_preload: { ${account.getPublicKey()}: ${accountJwt} }\n`,
  };
}

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** Returns a JWT about `subject`, signed by `issuer`. */
function sign(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const sub = subject.getPublicKey();
  const iat = Math.floor(Date.now() / 1000);
  const claims = {
    jti: sub,
    iat,
    iss: issuer.getPublicKey(),
    name: "test",
    sub,
    nats: { ...nats, version: 2 },
  };
  const parts = [{ typ: "JWT", alg: "ed25519-nkey" }, claims].map((part) =>
    base64(new TextEncoder().encode(JSON.stringify(part)))
  );
  const text = parts.join(".");
  return `${text}.${base64(issuer.sign(new TextEncoder().encode(text)))}`;
}

function base64(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
