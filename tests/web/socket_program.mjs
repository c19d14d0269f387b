// A WebSocket of Node, Bun, or an npm package that is named as an argument, steered by lines of JSON
// as `tests/support/foreign_socket.ts` writes them.

import { createRequire } from "node:module";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const library = process.argv[2];
const modules = pathToFileURL(`${process.env.EBSOCKETS_TEST_MODULES}/`);
const Socket = library ? createRequire(modules)(library) : globalThis.WebSocket;

function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

let socket;
const actions = {
  open({ url }) {
    socket = new Socket(url);
    socket.onopen = () => tell({ type: "open" });
    socket.onmessage = ({ data }) => tell({ type: "message", text: data });
    socket.onclose = ({ code, reason, wasClean }) =>
      tell({ type: "close", code, reason, isClean: wasClean });
    // Node's and Bun's own have no such events for pages, and some have them nevertheless.
    socket.on?.("ping", (data) => tell({ type: "ping", text: `${data}` }));
    socket.on?.("pong", (data) => tell({ type: "pong", text: `${data}` }));
  },
  send: ({ text }) => socket.send(text),
  ping: ({ text }) => socket.ping(text),
  close: ({ code, reason }) => socket.close(code, reason),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  actions[command.do](command);
}
