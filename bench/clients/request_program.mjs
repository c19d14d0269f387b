/**
 * Owns one side of the comparison of requests: makes requests and checks every answer, or answers.
 * Must not know libraries or servers. Runs on Deno and Node.
 *
 * Arguments: the file that uses the library, the folder with its packages, `requester` or
 * `responder`, the port, how many requests to have open at a time, and the first request as JSON. A
 * byte on standard output says that the program is ready. Then each line on standard input has a
 * requester make as many requests as it says, after which it writes how long each took to standard
 * output: microseconds, as 64-bit floats, the least significant byte first.
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";

const [library, folder, role, port, parallel, json] = process.argv.slice(2);
const { connect } = await import(new URL(library, import.meta.url).href);
const { event, attributes: first } = JSON.parse(json);
const client = await connect(Number(port), folder);

/** Who a responder says that it is: the rest of an answer is that of its request. */
const RESPONDER = "peter";

if (role === "responder") {
  await client.serve(event, ({ seq, content }) => ({ seq, user: RESPONDER, content }));
}
writeSync(1, ".");
if (role === "requester") await makeRequests();

/** Makes requests as they are asked for. */
async function makeRequests() {
  let { seq } = first;
  for await (const line of createInterface({ input: process.stdin })) {
    const end = seq + Number(line);
    const micros = [];
    const work = async () => {
      while (seq < end) micros.push(await time(seq++));
    };
    await Promise.all(Array.from({ length: Number(parallel) }, work));
    report(micros);
  }
}

/** How long a request takes, in microseconds. */
async function time(seq) {
  const start = performance.now();
  const answer = await client.request(event, { ...first, seq });
  const end = performance.now();
  check(answer, seq);
  return (end - start) * 1000;
}

/** Ends the program at an answer that is not that of request `seq`. */
function check(answer, seq) {
  const { user, content } = answer;
  const members = Object.keys(answer).length;
  if (
    answer.seq !== seq || user !== RESPONDER || content !== first.content ||
    members !== Object.keys(first).length
  ) {
    console.error(`Received ${JSON.stringify(answer)}, not the answer to request ${seq}`);
    process.exit(1);
  }
}

function report(micros) {
  const view = new DataView(new ArrayBuffer(8 * micros.length));
  micros.forEach((value, i) => view.setFloat64(8 * i, value, true));
  process.stdout.write(new Uint8Array(view.buffer)); // more than a pipe may take at once
}
