/**
 * The process of a flood: one client that publishes all it can, and one that checks every event.
 *
 * Arguments: the name of the server in `peers_list.ts`, and its port. A byte on standard output says
 * that the flood has begun. Then each `?` on standard input is answered with the number of events
 * received up to now, and a `.` with that of all, once they are there and the connections are closed.
 *
 * @module
 */

import { connect } from "./load.ts";
import { PEERS } from "./peers_list.ts";

const SUBJECT = "message";

const encoder = new TextEncoder();

/** Floods the server, and answers, until told to end. */
async function run(name: string, port: number): Promise<void> {
  const wire = PEERS.find((peer) => peer.name === name)?.wire.on?.(SUBJECT);
  if (!wire) throw new Error(`There are no subjects on ${name}`);
  let received = 0;
  const onDelivered = (_: number, to: number) => received = to;
  using traffic = await connect(
    { server: { port }, wire },
    { event: SUBJECT, subscribers: 1, flood: true },
    onDelivered,
  );
  const ending = new AbortController();
  const flood = traffic.flood(ending.signal);
  flood.catch(() => {}); // It may fail before it is awaited.
  await say(".");
  await Promise.race([answer(() => received), flood]);
  ending.abort();
  await flood;
  await traffic.finish();
  await say(`${received}`);
}

/** Says how many were received, as often as asked, until told to end. */
async function answer(received: () => number): Promise<void> {
  const questions = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const text of questions) {
    for (const question of text) {
      if (question === ".") return;
      await say(`${received()}`);
    }
  }
}

async function say(text: string): Promise<void> {
  await Deno.stdout.write(encoder.encode(text));
}

try {
  await run(Deno.args[0]!, Number(Deno.args[1]));
  Deno.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
