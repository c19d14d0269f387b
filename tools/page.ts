/**
 * Makes `web/page_bundle.ts`, the page as one text, of the files in `page/`. Run it with
 * `deno task page` after every change to these, or to a module that they import.
 *
 * @module
 */

import { hashSources, PAGE } from "./bundle/sources.ts";

const root = new URL("../", import.meta.url);

/** Returns the output of `deno bundle` for a file of the page. */
async function bundle(name: string): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "--platform", "browser", `page/${name}`],
    cwd: root,
    stderr: "inherit",
  });
  const { success, stdout } = await command.output();
  if (!success) throw new Error(`Cannot bundle page/${name}`);
  return new TextDecoder().decode(stdout).trim();
}

/** Returns HTML without comments and indentation. */
function shorten(html: string): string {
  return html.replaceAll(/<!--.*?-->/gs, "").replaceAll(/\s*\n\s*/g, "\n").trim();
}

/** Returns the hash of a text as policies for contents write it. */
async function hashOf(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `sha256-${new Uint8Array(bytes).toBase64()}`;
}

/** Replaces the only occurrence of a mark in a text, and the white space around it. */
function put(text: string, mark: string, value: string): string {
  const [before, after, ...others] = text.split(mark);
  if (after === undefined || others.length > 0) {
    throw new Error(`Cannot find ${mark} once in page/page.html`);
  }
  return before!.trimEnd() + value + after.trimStart();
}

const [html, style, script] = await Promise.all([
  Deno.readTextFile(new URL("page/page.html", root)),
  bundle("page.css"),
  bundle("main.ts"),
]);
const page = put(put(shorten(html), "/* page.css */", style), "/* main.ts */", script);
const text = `/**
 * The page as one text, made by \`deno task page\` of the sources with this hash:
 * ${await hashSources(PAGE)}
 *
 * @module
 */

import type { PageHashes } from "./page_headers.ts";

/** The page. */
export const PAGE: string = ${JSON.stringify(page)};

/** The hashes of its script and its styles. */
export const PAGE_HASHES: PageHashes = {
  scripts: ["${await hashOf(script)}"],
  styles: ["${await hashOf(style)}"],
};
`;
await Deno.writeTextFile(new URL("web/page_bundle.ts", root), text);
console.log(`web/page_bundle.ts: a page of ${new TextEncoder().encode(page).length} bytes`);
