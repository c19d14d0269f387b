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

const [library, folder, role, port, batch, json] = process.argv.slice(2);
const { connect } = await import(new URL(library, import.meta.url).href);
const { event, attributes: first } = JSON.parse(json);
const size = Number(batch);
const client = await connect(Number(port), folder);

if (role === "subscriber") await client.subscribe(event, check());
writeSync(1, ".");
if (role === "publisher") await publish();

/** Publishes batches as they are asked for. */
async function publish() {
  let { seq } = first;
  for await (const bytes of process.stdin) {
    for (let batches = 0; batches < bytes.length; batches++) {
      const end = seq + size;
      for (; seq < end; seq++) client.publish(event, { ...first, seq });
      await client.flush();
    }
  }
}

/** What gets every event, and ends the program at one that is not the next or not what was sent. */
function check() {
  const members = Object.keys(first).length;
  const { user, content } = first;
  let { seq } = first;
  let unreported = 0;
  return (name, attributes) => {
    if (
      name !== event || attributes.seq !== seq || attributes.user !== user ||
      attributes.content !== content || Object.keys(attributes).length !== members
    ) {
      console.error(`Received ${name} ${JSON.stringify(attributes)}, not event ${seq}`);
      process.exit(1);
    }
    seq++;
    if (++unreported === size) {
      unreported = 0;
      writeSync(1, ".");
    }
  };
}
