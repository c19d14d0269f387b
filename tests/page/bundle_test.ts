import { assert } from "@std/assert/assert";
import { assertArrayIncludes } from "@std/assert/array-includes";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { hashSources, PAGE as BUNDLE, readSources } from "../../tools/bundle/sources.ts";
import { PAGE, PAGE_HASHES } from "../../web/page_bundle.ts";
import { utf8 } from "../support/bytes.ts";
import { codeOf } from "../support/source.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

/** The contents of the only element with this tag. */
function contentOf(tag: string): string {
  const [found, ...others] = PAGE.matchAll(new RegExp(`<${tag}(?: [^>]*)?>(.*?)</${tag}>`, "gs"));
  assertEquals(others, []);
  return found![1]!;
}

async function sourcesOf(): Promise<string[]> {
  return [...(await readSources(BUNDLE)).keys()].sort();
}

async function hashOf(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new Uint8Array(utf8(text)));
  return `sha256-${new Uint8Array(bytes).toBase64()}`;
}

Deno.test("web/page_bundle.ts is made of the sources as they are; if not, run deno task page", async () => {
  const text = await read("web/page_bundle.ts");
  assert(text.includes(`\n * ${await hashSources(BUNDLE)}\n`), "It is stale");
});

Deno.test("readSources() finds the parts of the page, and what they import from other rooms", async () => {
  const sources = await sourcesOf();
  const parts = Array.from(Deno.readDirSync(new URL("page/", root)), ({ name }) => `page/${name}`);
  assertEquals(sources.filter((path) => path.startsWith("page/")), parts.sort());
  assertArrayIncludes(sources, ["protocol/snapshot.ts"]);
});

Deno.test("The page has at most 60 KB", () => {
  assertLessOrEqual(utf8(PAGE).length, 60_000);
});

Deno.test("PAGE_HASHES are those of the script and the styles of the page", async () => {
  assertEquals(PAGE_HASHES, {
    scripts: [await hashOf(contentOf("script"))],
    styles: [await hashOf(contentOf("style"))],
  });
});

Deno.test("The page loads nothing but the client, and has no handlers and styles in attributes", () => {
  const html = PAGE.replace(contentOf("script"), "").replace(contentOf("style"), "");
  const addresses = [...html.matchAll(/\s(?:src|href|action)="([^"]*)"/g)].map(([, url]) => url!);
  assertEquals(addresses.filter((url) => !url.startsWith("data:")), ["client.js"]);
  assertEquals(html.match(/\s(?:on[a-z]+|style)=/g), null);
  assertEquals(contentOf("style").match(/url\(|@import/g), null);
});

Deno.test("No part of the page makes HTML of text", async () => {
  for (const path of (await sourcesOf()).filter((path) => path.endsWith(".ts"))) {
    const found = codeOf(await read(path)).match(
      /\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|write|eval)\b/g,
    );
    assertEquals(found, null, path);
  }
});

Deno.test("Every element that the page's parts look for is in the page, once", async () => {
  const ids = [...PAGE.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id!);
  assertEquals(ids.toSorted(), [...new Set(ids)].sort());
  for (const path of (await sourcesOf()).filter((path) => path.startsWith("page/"))) {
    for (const [, id] of (await read(path)).matchAll(/\bbyId(?:<\w+>)?\("([^"]+)"\)/g)) {
      assertArrayIncludes(ids, [id!], path);
    }
  }
  const referred = [...PAGE.matchAll(/\saria-(?:labelledby|describedby)="([^"]*)"/g)];
  for (const [, id] of referred) assertArrayIncludes(ids, [id!]);
});

Deno.test("Every field of the page has a label", () => {
  for (const [field] of PAGE.matchAll(/<(?:input|textarea)\b[^>]*>/g)) {
    const before = PAGE.slice(0, PAGE.indexOf(field));
    assertMatch(
      before.slice(before.lastIndexOf("<label")),
      /^<label(?![^]*<\/label>)[^]*[A-Z]/,
      field,
    );
  }
});
