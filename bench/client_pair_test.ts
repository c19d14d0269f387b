import { assertRejects } from "@std/assert/rejects";
import { ClientPair } from "./client_pair.ts";

/** Which events, by number, a subscriber of two batches of 1,024 gets, and with which attributes. */
const FAULTS: Record<string, string> = {
  "is lost": "(i) => i + Number(i >= 500)",
  "comes twice": "(i) => i - Number(i >= 500)",
  "comes out of order": "(i) => i === 500 ? 501 : i === 501 ? 500 : i",
  "has changed": "(i) => { if (i === 500) attributes.content += '!'; return i; }",
  "has too many attributes": "(i) => { if (i === 500) attributes.more = 1; return i; }",
};

/**
 * A library that publishes nothing, and gives a subscriber what `toIndex` says once something comes in
 * by its input: whatever it had before it is known to be ready would count as part of that.
 */
function library(toIndex: string): string {
  const source = `
    import process from "node:process";
    import { messageAttributes } from "${import.meta.resolve("./fixtures.ts")}";
    const toIndex = (attributes) => ${toIndex};
    export function connect() {
      return {
        publish() {},
        flush() {},
        subscribe(name, onEvent) {
          process.stdin.on("data", () => {
            for (let i = 0; i < 2048; i++) {
              const attributes = messageAttributes(0);
              const index = toIndex(attributes)(i);
              onEvent(name, { ...attributes, seq: attributes.seq + index });
            }
          });
        },
      };
    }`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

/** Has two batches published through a library. */
async function run(toIndex: string): Promise<void> {
  const program = `${import.meta.dirname}/clients/event_program.mjs`;
  const cwd = `${import.meta.dirname}/..`;
  const command = (args: readonly string[]) => ({
    program: Deno.execPath(),
    args: ["run", "-A", program, library(toIndex), "", ...args],
    cwd,
  });
  await using pair = await ClientPair.start(1, command, { signal: AbortSignal.timeout(30_000) });
  await pair.subscriber.ask(new Uint8Array(1));
  await pair.publish(2);
}

Deno.test("ClientPair.publish() resolves when the subscriber has received every event", () =>
  run("(i) => i"));

for (const [fault, toIndex] of Object.entries(FAULTS)) {
  Deno.test(`ClientPair.publish() notices an event that ${fault}`, async () => {
    await assertRejects(() => run(toIndex), Error, "The subscriber has ended: Received message");
  });
}
