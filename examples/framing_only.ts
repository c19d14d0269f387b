// Counts the events in a file by name. Framing needs streams, not sockets.
//
//     deno run --allow-read=examples/events.ndjson examples/framing_only.ts examples/events.ndjson

import type { EbsocketEvent } from "@ebsockets/relay/event";
import { EventDecoderStream } from "@ebsockets/relay/framing";
import { toTransformStream } from "@std/streams/to-transform-stream";

const [path] = Deno.args;
if (path === undefined) throw new TypeError("Cannot count events: no path was given");

const file = await Deno.open(path);
await file.readable
  .pipeThrough(new EventDecoderStream())
  .pipeThrough<string>(toTransformStream(countByName))
  .pipeThrough(new TextEncoderStream())
  .pipeTo(Deno.stdout.writable);

async function* countByName(events: ReadableStream<EbsocketEvent>): AsyncGenerator<string> {
  const counts = new Map<string, number>();
  for await (const { event } of events) counts.set(event, (counts.get(event) ?? 0) + 1);
  for (const [name, count] of counts) yield `${count} ${name}\n`;
}
