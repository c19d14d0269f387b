/**
 * Owns one side of the comparison of client libraries: publishes events, or checks every one that it
 * gets. Must not know libraries or servers. Runs on Deno and Node.
 *
 * Arguments: the file that uses the library, the folder with its packages, `publisher` or
 * `subscriber`, the port, how many events make a batch, and the first event as JSON. A byte on
 * standard output says that the program is ready. Then each byte on standard input has a publisher
 * publish a batch, and each byte on standard output says that a subscriber has received one.
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { checkerOf, publisherOf } from "./events.mjs";

const [library, folder, role, port, batch, json] = process.argv.slice(2);
const { connect } = await import(new URL(library, import.meta.url).href);
const first = JSON.parse(json);
const size = Number(batch);
const client = await connect(Number(port), folder);

if (role === "subscriber") await client.subscribe(first.event, check());
writeSync(1, ".");
if (role === "publisher") await publish();

/** Publishes batches as they are asked for. */
async function publish() {
  const publishBatch = publisherOf(client, first, size);
  for await (const bytes of process.stdin) {
    for (let batches = 0; batches < bytes.length; batches++) await publishBatch();
  }
}

/** What gets every event, and ends the program at a wrong one. */
function check() {
  const checkNext = checkerOf(first, size, () => writeSync(1, "."));
  return (name, attributes) => {
    try {
      checkNext(name, attributes);
    } catch (error) {
      console.error(error.message);
      process.exit(1);
    }
  };
}
