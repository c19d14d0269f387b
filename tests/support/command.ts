/** The relay command as a process of its own, as its users run it. */

import type { Address } from "../../protocol/address.ts";
import { Program } from "./process.ts";

export class Command extends Program {
  /**
   * Starts it with `args`; `flags` are those of Deno, `env` adds to the environment. Runs another
   * program if given one.
   */
  constructor(
    args: string[],
    flags: string[] = ["--allow-net=127.0.0.1,[::1]"],
    program: string = "mod.ts",
    env: Record<string, string> = {},
  ) {
    super(
      Deno.execPath(),
      ["run", "--quiet", "--no-prompt", ...flags, program, ...args],
      { cwd: `${import.meta.dirname}/../..`, env },
    );
  }

  /** Waits until it listens; gives its address. */
  async listens(): Promise<Address> {
    const [, hostname, port] = await this.expect(/Relay listening on \[?([^\s\]]+)\]?:(\d+)\n/);
    return [hostname!, Number(port)];
  }
}
