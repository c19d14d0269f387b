/**
 * NATS servers of tests: nats-server on a port of its own, which can be frozen, killed and started
 * again.
 *
 * @module
 */

import { TempFolder } from "./folder.ts";
import { freePort } from "./free_port.ts";
import { program } from "./needs.ts";
import { Program } from "./process.ts";

export const NATS_SERVER = program("nats-server");

/** Where a server runs. */
export interface NatsPlace {
  /** Its address. */
  readonly hostname: string;
  /** A command that runs the command that follows it there. */
  readonly through: readonly string[];
}

const HERE: NatsPlace = { hostname: "127.0.0.1", through: [] };

/** A running NATS server. */
export class TestNatsServer implements AsyncDisposable {
  readonly port: number;
  readonly #place: NatsPlace;
  readonly #folder: TempFolder;
  #program!: Program;

  private constructor(port: number, folder: TempFolder, place: NatsPlace) {
    this.port = port;
    this.#folder = folder;
    this.#place = place;
  }

  /**
   * Starts a server, and waits until it listens.
   *
   * @param config More of its configuration.
   * @param files Files in the folder of the configuration, by name.
   */
  static async start(
    config = "",
    files: Readonly<Record<string, string>> = {},
    place = HERE,
  ): Promise<TestNatsServer> {
    const folder = new TempFolder();
    const server = new TestNatsServer(freePort(), folder, place);
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder.path}/${name}`, text);
    }
    await server.configure(config);
    await server.restart();
    return server;
  }

  /** The URL of the server. `login` is a user and a password, or a token. */
  url(login = "", scheme = "nats"): string {
    return `${scheme}://${login && `${login}@`}${this.#place.hostname}:${this.port}`;
  }

  /** Changes its configuration, for {@link restart} or {@link reload}. */
  async configure(config: string): Promise<void> {
    const text = `listen: "${this.#place.hostname}:${this.port}"\n${config}`;
    await Deno.writeTextFile(`${this.#folder.path}/nats.conf`, text);
  }

  /** Lets it read its configuration again. */
  reload(): void {
    this.#program.kill("SIGHUP");
  }

  /** Starts it again after {@link kill}. */
  async restart(): Promise<void> {
    // It writes its log to standard error.
    const words = [...this.#place.through, "sh", "-c", "exec nats-server -c nats.conf 2>&1"];
    this.#program = new Program(words[0]!, words.slice(1), { cwd: this.#folder.path });
    await this.#program.expect(/Server is ready/);
  }

  /** Kills it, and waits for its end. */
  async kill(): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }

  /** Freezes it. Its system still accepts connections. */
  freeze(): void {
    this.#program.kill("SIGSTOP");
  }

  /** Lets it run again. */
  thaw(): void {
    this.#program.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#folder[Symbol.dispose]();
  }
}
