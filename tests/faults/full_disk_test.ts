// A relay whose history is on a disk that is full.

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertStringIncludes } from "@std/assert/string-includes";
import { EbsocketClient } from "../../client.ts";
import { TempFolder } from "../support/folder.ts";
import { canRun } from "../support/process.ts";
import { pause, until } from "../support/waiting.ts";
import { RelayProcess } from "./relay_process.ts";

/** A file system of 2 MiB. */
class SmallDisk implements Disposable {
  readonly #folder = new TempFolder();
  readonly path = `${this.#folder.path}/disk`;

  constructor() {
    Deno.mkdirSync(this.path);
    run("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=16", "tmpfs", this.path);
  }

  /** Leaves no room for another file, so that a relay cannot begin a new one. */
  takeFiles(): void {
    for (let i = 0;; i++) {
      try {
        Deno.createSync(`${this.path}/${i}`).close();
      } catch {
        return;
      }
    }
  }

  [Symbol.dispose](): void {
    run("umount", "-l", this.path);
    this.#folder[Symbol.dispose]();
  }
}

function run(command: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command(command, { args }).outputSync();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
}

const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;

Deno.test({
  name:
    "A relay whose disk is full goes on, acknowledges nothing that it does not keep, and recovers",
  ignore: !isRoot || !canRun("mount", []),
  async fn() {
    using disk = new SmallDisk();
    const ballast = `${disk.path}/ballast`;
    await Deno.writeFile(ballast, new Uint8Array(1_000_000));
    await using relay = await RelayProcess.start({ args: ["--history", `${disk.path}/log`] });
    await using sender = new EbsocketClient({ reconnect: { minDelay: 50 } });
    await sender.connectTo(relay.address);
    await sender.subscribe([]);
    await using reader = new EbsocketClient({ history: true, reconnect: { minDelay: 50 } });
    await reader.subscribe(["e"]);
    await reader.connectTo(relay.address);
    const received = new Set<number>();
    const recoveries: [boolean, string | null][] = [];
    const reading = (async () => {
      for await (const event of reader) received.add(event.getAttribute("i") as number);
    })();
    const watching = (async () => {
      for await (const status of reader.status()) {
        if (status.type === "resumed") recoveries.push([status.recovered, status.reason]);
      }
    })();
    const confirmed = new Set<number>();
    const padding = "x".repeat(10_000);
    let sent = 0;
    const send = () => {
      const i = sent++;
      sender.send("e", { i, padding }, { confirm: true, timeout: 20_000 }).then(
        () => confirmed.add(i),
        () => {},
      );
    };
    send();
    await until(() => confirmed.size > 0);
    disk.takeFiles(); // Otherwise it would go on after a second, with what it could not finish as its room.
    while (!relay.log.some(({ type }) => type === "history-fault")) {
      send();
      await pause(2);
    }
    const fault = relay.log.find(({ type }) => type === "history-fault")!;
    const consequence = "events go on, but are neither kept nor acknowledged; trying again";
    assertStringIncludes(fault.detail as string, `cannot write to ${disk.path}/log: No space left`);
    assertStringIncludes(fault.detail as string, consequence);
    const whenFull = sent;
    for (let k = 0; k < 10; k++) send();
    await until(() => received.has(sent - 1)); // Events go on.
    await pause(200);
    assertGreater(confirmed.size, 20);
    assertEquals([...confirmed].filter((i) => i >= whenFull), []); // But they are not acknowledged.
    await Deno.remove(ballast);
    await until(() => relay.log.some(({ type, state }) => type === "history" && state === "kept"));
    await until(() => sender.connected && reader.connected && recoveries.length > 0);
    const before = confirmed.size;
    send();
    await until(() => confirmed.size > before);
    const kept = new Set<number>();
    for await (const event of reader.history("e", { since: "first" })) {
      kept.add(event.getAttribute("i") as number);
    }
    assertEquals([...confirmed].filter((i) => !kept.has(i)), []);
    assertEquals(recoveries, [[false, "ahead"]]); // It has received what could not be kept.
    await reader.close();
    await Promise.all([reading, watching]);
  },
});
