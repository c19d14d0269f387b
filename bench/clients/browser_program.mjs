/**
 * The program of `event_program.mjs`, with the same arguments, input and output, but in Chromium: a
 * page of the server uses the library. Runs on Deno.
 *
 * It speaks the DevTools protocol itself, since Playwright and the like have Chromium report every
 * message of a WebSocket, which costs a page several times what the message does.
 */

import { writeSync } from "node:fs";
import { DevTools } from "./devtools.mjs";

const [library, folder, role, port, batch, json] = Deno.args;

/** Where the files of this folder are on the server, as far as the page can see. */
const FILES = `http://127.0.0.1:${port}/bench/`;

const chromium = new Deno.Command("chromium", {
  args: [
    "--headless",
    "--remote-debugging-port=0",
    `--user-data-dir=${folder}/chromium-${Deno.pid}`,
    // The page comes from here, not from the server: Chromium would not let it connect to that.
    "--disable-features=LocalNetworkAccessChecks",
    ...Deno.uid() === 0 ? ["--no-sandbox"] : [],
  ],
  stdin: "null",
  stdout: "null",
  stderr: "piped",
}).spawn();
Deno.addSignalListener("SIGTERM", () => end(0));

try {
  const page = await DevTools.openPage(await findDevTools());
  await load(page);
  writeSync(1, ".");
  for await (const bytes of Deno.stdin.readable) await page.evaluate(`publish(${bytes.length})`);
  await end(0);
} catch (error) {
  await fail(error.message);
}

/** Where Chromium can be controlled: it says so. */
async function findDevTools() {
  let text = "";
  for await (const chunk of chromium.stderr.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const url = /DevTools listening on (\S+)\n/.exec(text)?.[1];
    if (url) return url;
  }
  throw new Error(`Chromium has ended: ${text}`);
}

/** Loads a page that uses the library. */
async function load(page) {
  const { promise: loaded, resolve } = Promise.withResolvers();
  page.on("Page.loadEventFired", resolve);
  page.on("Fetch.requestPaused", (paused) => serve(page, paused));
  page.on(
    "Runtime.bindingCalled",
    ({ payload }) => payload === "" ? writeSync(1, ".") : fail(payload),
  );
  await page.send("Runtime.enable");
  await page.send("Runtime.addBinding", { name: "report" });
  await page.send("Fetch.enable", { patterns: [{ urlPattern: `${FILES}*` }] });
  await page.send("Page.enable");
  await page.send("Page.navigate", { url: FILES });
  await loaded;
  await page.evaluate(`(async () => {
    const { start } = await import("${FILES}event_page.mjs");
    globalThis.publish = await start("${new URL(
    library,
    FILES,
  )}", "${role}", ${batch}, ${json}, report);
  })()`);
}

/** Gives a file to the page, or the page itself, instead of the server. */
async function serve(page, { requestId, request }) {
  const name = request.url.slice(FILES.length);
  const [type, bytes] = name === ""
    ? ["text/html", new TextEncoder().encode("<!doctype html>")]
    : ["text/javascript", await Deno.readFile(new URL(name, import.meta.url))];
  await page.send("Fetch.fulfillRequest", {
    requestId,
    responseCode: 200,
    responseHeaders: [{ name: "Content-Type", value: type }],
    body: bytes.toBase64(),
  });
}

async function fail(message) {
  console.error(message);
  await end(1);
}

async function end(code) {
  try {
    chromium.kill();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended already
  }
  await chromium.status;
  Deno.exit(code);
}
