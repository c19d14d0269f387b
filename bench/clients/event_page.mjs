/**
 * Owns one side of the comparison of client libraries in pages: publishes events, or checks every
 * one that it gets. Must not know libraries or servers. Runs in a page of the server.
 */

import { checkerOf, publisherOf } from "./events.mjs";

/**
 * Connects with the library in a file, to publish or to check. Resolves to a function that publishes
 * as many batches as it is told. Calls `report` with an empty text for each batch that was received,
 * and with a message when something is wrong.
 */
export async function start(library, role, size, first, report) {
  addEventListener("error", ({ message }) => report(message));
  addEventListener("unhandledrejection", ({ reason }) => report(`${reason}`));
  const { connect } = await import(library);
  const client = await connect();
  if (role === "subscriber") await client.subscribe(first.event, check(first, size, report));
  const publishBatch = publisherOf(client, first, size);
  return async (batches) => {
    for (let i = 0; i < batches; i++) await publishBatch();
  };
}

/** What gets every event, and reports a wrong one. */
function check(first, size, report) {
  const checkNext = checkerOf(first, size, () => report(""));
  return (name, attributes) => {
    try {
      checkNext(name, attributes);
    } catch (error) {
      report(error.message);
    }
  };
}
