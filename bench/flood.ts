/**
 * A flood: one client that publishes as fast as the server takes it, and one that receives all of
 * it. Both are in a process of their own, so that the measured clients wait for others at the
 * server alone.
 *
 * @module
 */

import { ClientProcess, STALL_MS } from "./client_process.ts";
import type { ProcessCommand, ProcessOptions } from "./measured_process.ts";
import { within } from "./within.ts";

const BENCH = import.meta.dirname!;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A flood that goes on until it is told to end. */
export class Flood implements AsyncDisposable {
  readonly #process: ClientProcess;

  private constructor(process: ClientProcess) {
    this.#process = process;
  }

  /**
   * Starts one to a server of the kind `peer`. With `yields` it has only the time that nobody else
   * wants on its CPU: whoever waits for the server there goes first.
   */
  static async start(
    peer: string,
    port: number,
    yields: boolean,
    options: ProcessOptions,
  ): Promise<Flood> {
    const command = floodCommand(peer, port, yields);
    return new Flood(await ClientProcess.start("flood", command, options));
  }

  /** How many events have been received up to now. */
  received(): Promise<number> {
    return this.#ask("?");
  }

  /** Ends it once every event has been received and checked; resolves to how many there were. */
  finish(): Promise<number> {
    return this.#ask(".");
  }

  async #ask(question: "?" | "."): Promise<number> {
    this.#process.ask(encoder.encode(question)).catch(() => {}); // its end is told below
    const answer = await within(STALL_MS, "Waiting for the flood", this.#process.hear());
    return Number(decoder.decode(answer));
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

function floodCommand(peer: string, port: number, yields: boolean): ProcessCommand {
  const args = ["run", "-A", `${BENCH}/flood_program.ts`, peer, `${port}`];
  const program = Deno.execPath();
  return yields
    ? { program: "chrt", args: ["--idle", "0", program, ...args], cwd: BENCH }
    : { program, args, cwd: BENCH };
}
