/**
 * A server that is measured: its port, and the wait until it listens there.
 *
 * @module
 */

import { freePort } from "../tests/support/free_port.ts";
import { MeasuredProcess, type ProcessCommand, type ProcessOptions } from "./measured_process.ts";
import { within } from "./within.ts";

const START_MS = 30_000;
const RETRY_MS = 20;

/** A server in a process of its own. */
export class ServerProcess extends MeasuredProcess {
  /** The port that it listens on, of 127.0.0.1. */
  readonly port: number;

  private constructor(port: number, command: ProcessCommand, options: ProcessOptions) {
    super(command, options);
    this.port = port;
  }

  /** Starts the server that `toCommand` describes for a free port, and waits until it accepts. */
  static async start(
    toCommand: (port: number) => ProcessCommand,
    options: ProcessOptions,
  ): Promise<ServerProcess> {
    const port = freePort();
    const server = new ServerProcess(port, toCommand(port), options);
    try {
      await within(START_MS, "Starting the server", server.#untilAccepting());
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #untilAccepting(): Promise<void> {
    let ended = false;
    this.child.status.then(() => ended = true);
    for (;;) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
        return;
      } catch (error) {
        if (ended) throw new Error("The server ended before it listened", { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
