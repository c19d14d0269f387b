import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { RequestPair } from "./request_pair.ts";

/** What a requester gets instead of the answers, where `answer` is the one that it waits for. */
const FAULTS: Record<string, string> = {
  "is that of another request": "({ ...answer, seq: answer.seq + Number(seq > 500) })",
  "is the request itself": "attributes",
  "has changed": "({ ...answer, content: answer.content + '!' })",
  "has too many attributes": "({ ...answer, more: 1 })",
};

/** A library with one client that is both sides; it gives a requester what `toReceived` says. */
function library(toReceived: string): string {
  const source = `
    export function connect() {
      return {
        serve() {
          setInterval(() => {}, 1000); // keeps the program alive, as a connection does
        },
        async request(name, attributes) {
          const { seq } = attributes;
          const answer = { ...attributes, user: "peter" };
          await Promise.resolve();
          return ${toReceived};
        },
      };
    }`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

/** Has a thousand requests made through a library, two of them at a time, and then some more. */
async function run(library: string, more: number): Promise<Float64Array[]> {
  const program = `${import.meta.dirname}/clients/request_program.mjs`;
  const cwd = `${import.meta.dirname}/..`;
  const command = (args: readonly string[]) => ({
    program: Deno.execPath(),
    args: ["run", "-A", program, library, "", ...args],
    cwd,
  });
  const signal = AbortSignal.timeout(30_000);
  await using pair = await RequestPair.start(1, 2, command, { signal });
  return [await pair.request(1000), await pair.request(more)];
}

Deno.test("RequestPair.request() returns the time of every request", async () => {
  const times = await run(library("answer"), 20_000);
  assertEquals(times.map(({ length }) => length), [1000, 20_000]);
  for (const micros of times) {
    assert(micros.every((value) => value >= 0 && value < 30_000_000));
  }
});

for (const [fault, toReceived] of Object.entries(FAULTS)) {
  Deno.test(`RequestPair.request() notices an answer that ${fault}`, async () => {
    const message = "The requester has ended: Received";
    await assertRejects(() => run(library(toReceived), 1), Error, message);
  });
}

Deno.test("RequestPair.request() notices a request that fails", async () => {
  const message = "The requester has ended:";
  await assertRejects(() => run(library("Promise.reject(new Error('No'))"), 1), Error, message);
});
