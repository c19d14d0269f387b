import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { listen } from "../../net/transport.ts";
import { TempFolder } from "../support/folder.ts";
import { Program } from "../support/process.ts";
import { size } from "../support/size.ts";
import { soon } from "../support/waiting.ts";
import { launch } from "./launch.ts";

const ignore = Deno.build.os === "windows"; // It has no Unix sockets.

const ROUNDS = size(12, 200);
const PROGRAMS = 8;

/** What whoever listens at a path says. */
async function answerAt(path: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  return await soon(new Response(conn.readable).text(), `an answer at ${path}`);
}

/** Leaves a socket that nobody listens on. */
function leaveStale(path: string): void {
  // Deno removes what it finds where it has made the socket.
  const listener = Deno.listen({ transport: "unix", path: `${path}.` });
  Deno.renameSync(`${path}.`, path);
  listener.close();
  assert(Deno.lstatSync(path).isSocket);
}

Deno.test({
  name: `listen() of ${PROGRAMS} programs at once on one Unix path succeeds in one`,
  ignore,
  async fn() {
    using folder = new TempFolder();
    const path = `${folder.path}/s`;
    const names = Array.from({ length: PROGRAMS }, (_, i) => `${i}`);
    const programs = names.map((name) =>
      new Program(...launch("tests/faults/unix_program.ts", [name, path]))
    );
    const tell = async (order: string): Promise<string[]> => {
      await Promise.all(programs.map((program) => program.type(order)));
      const said = await Promise.all(programs.map((program) => program.expect(/(.+)\n/)));
      return said.map(([, outcome]) => outcome!);
    };
    try {
      await Promise.all(programs.map((program) => program.expect(/ready\n/)));
      for (let round = 0; round < ROUNDS; round++) {
        // In every other round, who has won before gives it up in the same moment, and tries again.
        if (round % 2 === 0) {
          await tell("-");
          leaveStale(path);
        }
        const outcomes = await tell("+");
        assertEquals(outcomes.toSorted(), ["listens", ...Array(PROGRAMS - 1).fill("taken")]);
        assertEquals(await answerAt(path), names[outcomes.indexOf("listens")]);
      }
      for (const program of programs) assertEquals((await program.end()).code, 0);
      assertEquals([...Deno.readDirSync(folder.path)], [], "what is left in the folder");
    } finally {
      for (const program of programs) await program[Symbol.asyncDispose]();
    }
  },
});

Deno.test({
  name: "listen() waits at a Unix path for a program that is about to listen, unless it is killed",
  ignore,
  async fn() {
    using folder = new TempFolder();
    const path = `${folder.path}/s`;
    const lock = `
      const folder = await Deno.open(Deno.args[0]);
      await folder.lock(true);
      console.log("locked");
      setTimeout(() => {}, 1e9);
    `;
    const holder = new Program(Deno.execPath(), ["eval", lock, folder.path]);
    const other = new Program(...launch("tests/faults/unix_program.ts", ["other", path]));
    try {
      await Promise.all([holder.expect(/locked\n/), other.expect(/ready\n/)]);
      await other.type("+");
      const isFree = async () => {
        using file = await Deno.open(folder.path);
        return await file.tryLock(true);
      };
      assertFalse(await isFree());
      assertEquals([...Deno.readDirSync(folder.path)], []);
      holder.kill("SIGKILL");
      await other.expect(/listens\n/);
      assert(await isFree());
      await other.end();
      listen({ path }).close();
    } finally {
      for (const program of [holder, other]) await program[Symbol.asyncDispose]();
    }
  },
});
