import { assertRejects } from "@std/assert/rejects";
import { ClientPair } from "./client_pair.ts";
import { output } from "./programs.ts";

/** Whether there is a browser here. */
const ignore = await output("chromium", "--version") === null;

/**
 * A library for pages without a server. Each `flush()` of it has the events come back that were
 * published since the last one, as `toReceived` makes them.
 */
function library(toReceived: string): string {
  const source = `
    const toReceived = (attributes) => ${toReceived};
    export function connect() {
      let onEvent = () => {};
      let events = [];
      return {
        subscribe(_, listener) {
          onEvent = listener;
        },
        publish(name, attributes) {
          events.push([name, attributes]);
        },
        flush() {
          for (const [name, attributes] of events) onEvent(name, toReceived(attributes));
          events = [];
        },
      };
    }`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

/** Has a subscriber receive what itself has published, in two batches of 1,024. */
async function run(toReceived: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const program = `${import.meta.dirname}/clients/browser_program.mjs`;
    const command = (args: readonly string[]) => ({
      program: Deno.execPath(),
      args: ["run", "-A", program, library(toReceived), folder, ...args],
    });
    await using pair = await ClientPair.start(1, command, { signal: AbortSignal.timeout(60_000) });
    await pair.subscriber.ask(new Uint8Array(2));
    await pair.publish(2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "ClientPair.publish() resolves when a page has received every event",
  ignore,
  fn: () => run("attributes"),
});

Deno.test({
  name: "ClientPair.publish() notices an event that has changed on its way to a page",
  ignore,
  async fn() {
    const toReceived = "({ ...attributes, more: attributes.seq % 1000 ? undefined : 1 })";
    await assertRejects(() => run(toReceived), Error, "The subscriber has ended: Received message");
  },
});

Deno.test({
  name: "ClientPair.publish() notices an error in a page",
  ignore,
  async fn() {
    const toReceived = "(() => { throw new Error('No') })()";
    await assertRejects(
      () => run(toReceived),
      Error,
      "has ended: Error: No",
    );
  },
});
