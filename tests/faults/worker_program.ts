/** One of the workers of a queue: does each job at once, says so on standard output, and answers. */

import { EbsocketClient } from "../../client.ts";
import { EbsocketEvent } from "../../protocol/event.ts";

const [name, port] = Deno.args;
await using client = new EbsocketClient();
await client.connectTo(["127.0.0.1", Number(port)]);
const jobs = client.serve("jobs.*", { queue: "workers" });
const first = jobs.next(); // subscribes
await client.subscribe([]); // comes behind that
console.log("ready");
for (let { value: job } = await first; job; { value: job } = await jobs.next()) {
  console.log(`did ${job.getAttribute("n")}`);
  await client.reply(job, new EbsocketEvent("done", { n: job.getAttribute("n"), name }));
}
