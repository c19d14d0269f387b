/**
 * NATS servers of tests: nats-server on a port of 127.0.0.1, which can be frozen, killed and started
 * again.
 *
 * @module
 */

import { TempFolder } from "./folder.ts";
import { freePort } from "./free_port.ts";
import { program } from "./needs.ts";
import { Program } from "./process.ts";
import { eventually } from "./waiting.ts";

export const NATS_SERVER = program("nats-server");

/** A running NATS server. */
export class TestNatsServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: TempFolder;
  #program!: Program;

  private constructor(port: number, folder: TempFolder) {
    this.port = port;
    this.#folder = folder;
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
  ): Promise<TestNatsServer> {
    const folder = new TempFolder();
    const server = new TestNatsServer(freePort(), folder);
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder.path}/${name}`, text);
    }
    await server.configure(config);
    await server.restart();
    return server;
  }

  /** The URL of the server. `login` is a user and a password, or a token. */
  url(login = "", scheme = "nats"): string {
    return `${scheme}://${login && `${login}@`}127.0.0.1:${this.port}`;
  }

  /** Changes its configuration, for {@link restart} or {@link reload}. */
  async configure(config: string): Promise<void> {
    const text = `listen: "127.0.0.1:${this.port}"\n${config}`;
    await Deno.writeTextFile(`${this.#folder.path}/nats.conf`, text);
  }

  /** Lets it read its configuration again. */
  reload(): void {
    this.#program.kill("SIGHUP");
  }

  /** Starts it again after {@link kill}. */
  async restart(): Promise<void> {
    this.#program = new Program("nats-server", ["-c", "nats.conf"], { cwd: this.#folder.path });
    await eventually(async () => {
      (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
    });
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
