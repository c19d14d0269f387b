/**
 * Unusual standard streams for programs under test: non-blocking, or redirected by a shell. Needs
 * Python.
 *
 * @module
 */

import { canRun } from "./process.ts";

/** Makes streams non-blocking, then becomes the program. */
const MAKE_NONBLOCKING = `
import fcntl, os, sys
for fd in map(int, sys.argv[1].split(",")):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
os.execvp(sys.argv[2], sys.argv[2:])
`;

/**
 * Runs the program in a terminal that is non-blocking, and that nobody reads for a while. Then prints what
 * came.
 */
const IN_NONBLOCKING_TERMINAL = `
import fcntl, os, pty, select, subprocess, sys, time, tty
ours, theirs = pty.openpty()
tty.setraw(theirs)
fcntl.fcntl(theirs, fcntl.F_SETFL, fcntl.fcntl(theirs, fcntl.F_GETFL) | os.O_NONBLOCK)
program = subprocess.Popen(sys.argv[1:], stdout=theirs)
os.close(theirs)
select.select([ours], [], [])
time.sleep(0.5)
text = b""
try:
    while chunk := os.read(ours, 1000):
        text += chunk
except OSError:
    pass
sys.stdout.buffer.write(text)
sys.exit(program.wait())
`;

/** Runs the program in a terminal that does not know how large it is. What it gets is typed there. */
const IN_TERMINAL = `
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
`;

const ROOT = `${import.meta.dirname}/../..`;

/** The command line of a tool. */
export function toolWords(...args: string[]): string[] {
  return [Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", `${ROOT}/mod.ts`, ...args];
}

/** Whether this machine has what the following need. */
export function hasPython(): boolean {
  return Deno.build.os !== "windows" && canRun("python3", ["-c", "import fcntl, pty"]);
}

/** A command line that makes the streams with these numbers non-blocking for `words`. */
export function nonBlocking(streams: readonly (0 | 1 | 2)[], words: readonly string[]): string[] {
  return ["python3", "-c", MAKE_NONBLOCKING, streams.join(","), ...words];
}

/** A command line that runs `words` in a terminal that is non-blocking and read late. */
export function inNonBlockingTerminal(words: readonly string[]): string[] {
  return ["python3", "-c", IN_NONBLOCKING_TERMINAL, ...words];
}

/** A command line that runs `words` in a terminal of 0 columns and 0 rows, as some say of themselves. */
export function inTerminal(words: readonly string[]): string[] {
  return ["python3", "-c", IN_TERMINAL, ...words];
}
