/**
 * The certificates of tests: made anew for each run by `openssl`, in a folder that is removed
 * again.
 *
 * @module
 */

import { TempFolder } from "./folder.ts";

/** A certificate and its private key, as PEM text. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Two certificate authorities of the same name, and certificates of one of them, unless said. */
export interface Certificates {
  readonly ca: string;
  readonly otherCa: string;
  /** For `localhost` and `127.0.0.1`. */
  readonly server: KeyPair;
  readonly expiredServer: KeyPair;
  /** Vouched for by the other authority. */
  readonly strangeServer: KeyPair;
  readonly client: KeyPair;
  readonly expiredClient: KeyPair;
  /** Vouched for by the other authority. */
  readonly strangeClient: KeyPair;
}

const CONFIG = `
[ca]
default_ca = local
[local]
database = index.txt
serial = serial.txt
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost,IP:127.0.0.1
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
`;

/** Makes them; `null` where there is no `openssl`. */
export async function makeCertificates(): Promise<Certificates | null> {
  using folder = new TempFolder();
  try {
    return await new Maker(folder.path).make();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

class Maker {
  constructor(readonly folder: string) {}

  async make(): Promise<Certificates> {
    await this.#write("config.cnf", CONFIG);
    await this.#write("index.txt", "");
    await this.#write("serial.txt", "01\n");
    const ca = await this.#authority("ca");
    const otherCa = await this.#authority("other");
    return {
      ca,
      otherCa,
      server: await this.#pair("server", "ca"),
      expiredServer: await this.#pair("server", "ca", "200101000000Z", "200102000000Z"),
      strangeServer: await this.#pair("server", "other"),
      client: await this.#pair("client", "ca"),
      expiredClient: await this.#pair("client", "ca", "200101000000Z", "200102000000Z"),
      strangeClient: await this.#pair("client", "other"),
    };
  }

  async #authority(name: string): Promise<string> {
    await this.#key(name);
    const request = ["req", "-x509", "-new", "-key", `${name}.key`, "-subj", "/CN=Test authority"];
    const extensions = ["-days", "30", "-config", "config.cnf", "-extensions", "authority"];
    await this.#openssl([...request, ...extensions, "-out", `${name}.pem`]);
    return await this.#read(`${name}.pem`);
  }

  async #pair(use: string, ca: string, start?: string, end?: string): Promise<KeyPair> {
    const key = await this.#key("leaf");
    const request = ["req", "-new", "-key", "leaf.key", "-subj", `/CN=${use}`];
    await this.#openssl([...request, "-config", "config.cnf", "-out", "leaf.csr"]);
    const signer = ["ca", "-batch", "-notext", "-config", "config.cnf"];
    const keys = ["-cert", `${ca}.pem`, "-keyfile", `${ca}.key`];
    const dates = start && end ? ["-startdate", start, "-enddate", end] : ["-days", "30"];
    const files = ["-extensions", use, "-in", "leaf.csr", "-out", "leaf.pem"];
    await this.#openssl([...signer, ...keys, ...dates, ...files]);
    return { cert: await this.#read("leaf.pem"), key };
  }

  async #key(name: string): Promise<string> {
    const file = `${name}.key`;
    await this.#openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file]);
    return await this.#read(file);
  }

  async #openssl(args: string[]): Promise<void> {
    const command = new Deno.Command("openssl", { args, cwd: this.folder, stdout: "null" });
    const { success, stderr } = await command.output();
    if (success) return;
    throw new Error(`openssl ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }

  #write(name: string, text: string): Promise<void> {
    return Deno.writeTextFile(`${this.folder}/${name}`, text);
  }

  #read(name: string): Promise<string> {
    return Deno.readTextFile(`${this.folder}/${name}`);
  }
}
