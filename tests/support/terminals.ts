/**
 * Terminals for tests: starts programs in them, types, and reads their screens. Needs tmux.
 *
 * @module
 */

import { TempFolder } from "./folder.ts";
import { canRun } from "./process.ts";
import { eventually } from "./waiting.ts";

/** How large the terminals are at first. */
const SIZE = { columns: 100, rows: 30 };

/** Runs a program. Ctrl+C is for all in a terminal, but this one stays. */
const SCRIPT = 'trap : INT; echo "before"; "$@"; echo "after: $?"; while :; do read line; done';

/** Terminals of a tmux of their own. Disposing of them ends all that runs in them. */
export class Terminals implements AsyncDisposable {
  readonly #folder = new TempFolder();
  #isOpen = false;

  /** Whether this machine has what it takes: tmux, and the /proc of Linux. */
  static isAvailable(): boolean {
    return Deno.build.os === "linux" && canRun("tmux", ["-V"]);
  }

  /**
   * Runs a program in a new terminal, which is called `name`. The screen shows `before` before that, and
   * `after: CODE` when it has ended.
   */
  async start(name: string, command: readonly string[], { cwd }: { cwd: string }): Promise<void> {
    const place = ["-d", "-n", name, "-c", cwd];
    const size = ["-x", `${SIZE.columns}`, "-y", `${SIZE.rows}`];
    const create = this.#isOpen ? ["new-window", ...place] : ["new-session", ...size, ...place];
    await this.#tmux([...create, "--", "sh", "-c", SCRIPT, "sh", ...command]);
    this.#isOpen = true;
  }

  /** Presses keys, by the names that tmux has for them: `C-c`, `Enter`. */
  async press(name: string, ...keys: string[]): Promise<void> {
    await this.#tmux(["send-keys", "-t", `:${name}`, ...keys]);
  }

  /** Makes a terminal larger or smaller. */
  async resize(name: string, columns: number, rows: number): Promise<void> {
    await this.#tmux(["resize-window", "-t", `:${name}`, "-x", `${columns}`, "-y", `${rows}`]);
  }

  /** Takes a terminal away, as when somebody closes its window. */
  async close(name: string): Promise<void> {
    await this.#tmux(["kill-window", "-t", `:${name}`]);
  }

  /** Sends a signal to the program that was started in a terminal. */
  async kill(name: string, signal: Deno.Signal): Promise<void> {
    const shell = await this.#tmux(["display-message", "-p", "-t", `:${name}`, "#{pane_pid}"]);
    const children = await Deno.readTextFile(`/proc/${shell.trim()}/task/${shell.trim()}/children`);
    Deno.kill(Number(children), signal);
  }

  /** What is on the screen, without the spaces at the ends of lines; with codes of colours if wanted. */
  async screen(name: string, { colors = false } = {}): Promise<string> {
    return await this.#tmux(["capture-pane", "-p", ...(colors ? ["-e"] : []), "-t", `:${name}`]);
  }

  /** Whether the cursor can be seen. */
  async hasCursor(name: string): Promise<boolean> {
    return await this.#tmux(["display-message", "-p", "-t", `:${name}`, "#{cursor_flag}"]) ===
      "1\n";
  }

  /** Waits until `pattern` matches the screen. */
  async sees(name: string, pattern: RegExp, options = {}): Promise<RegExpExecArray> {
    return await eventually(async () => {
      const screen = await this.screen(name, options);
      const match = pattern.exec(screen);
      if (match) return match;
      throw new Error(`Waited for ${pattern} on\n${screen}`);
    });
  }

  /** Ends all programs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOpen) await this.#tmux(["kill-server"]);
    this.#folder[Symbol.dispose]();
  }

  async #tmux(args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-S", `${this.#folder.path}/socket`, "-f", "/dev/null", ...args],
    }).output();
    const decoder = new TextDecoder();
    if (success) return decoder.decode(stdout);
    throw new Error(`Cannot run tmux ${args.join(" ")}: ${decoder.decode(stderr)}`);
  }
}
