import { assertAlmostEquals } from "@std/assert/almost-equals";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertNotMatch } from "@std/assert/not-match";
import { drawResults } from "./plot.ts";
import type { Results } from "./results.ts";

/** The picture of figures by scenario and peer. */
function draw(figures: Record<string, Record<string, number | null>>, peers: string[]): string {
  const cells = Object.entries(figures).flatMap(([scenario, byPeer]) =>
    Object.entries(byPeer).map(([peer, cpuMicros]) =>
      [`${scenario}/${peer}`, [{ cpuMicros }]] as const
    )
  );
  const run = { machine: "", commit: "", command: "", repeat: 1, pinned: true, skipped: [] };
  return drawResults({ ...run, cells: new Map(cells) } satisfies Results, peers);
}

/** The width of each bar, in the order of drawing. */
function widths(svg: string): number[] {
  return [...svg.matchAll(/<rect [^>]*?width="([^"]+)"/g)].map(([, width]) => Number(width));
}

/** What stands on the picture. */
function texts(svg: string): string[] {
  return [...svg.matchAll(/>([^<>\n]+)</g)].map(([, text]) => text!);
}

/** Whether each element is closed, within the one that it was opened in. */
function isWellFormed(xml: string): boolean {
  const open: string[] = [];
  const rest = xml.replaceAll(/<(\/?)(\w+)((?: [\w:-]+="[^"<]*")*)(\/?)>/g, (_, ...parts) => {
    const [close, name, , empty] = parts;
    if (close) return open.pop() === name ? "" : "<";
    if (!empty) open.push(name);
    return "";
  });
  return open.length === 0 && !/[<&]/.test(rest);
}

const PEERS = ["copier", "ebsockets", "redis"];

Deno.test("drawResults() makes bars as long as the logarithm of the value", () => {
  const [least, one, ten, most] = widths(draw({
    "1": { copier: 0.1, ebsockets: 1, redis: 10 },
    "50": { copier: 31.6228 },
  }, PEERS));
  assertEquals(least, 0);
  assertAlmostEquals(ten! - one!, one!, 0.2);
  assertAlmostEquals(most! - ten!, one! / 2, 0.2);
});

Deno.test("drawResults() names each peer, and its value, in each panel", () => {
  const svg = draw({
    "1": { copier: 0.1, ebsockets: 0.2, redis: 3.3 },
    "chat": { copier: 44, ebsockets: 55, redis: 666 },
  }, PEERS);
  for (const peer of PEERS) assertEquals(texts(svg).filter((text) => text === peer).length, 2);
  for (const value of ["0.10", "0.20", "3.3", "44", "55", "666"]) {
    assert(texts(svg).includes(value), value);
  }
  assertEquals(svg.match(/<rect class="ours"/g)?.length, 2);
});

Deno.test("drawResults() leaves out missing values", () => {
  const svg = draw({ "1": { copier: 0.1, ebsockets: null }, "4": { redis: null } }, PEERS);
  assertEquals(widths(svg).length, 1);
  assertEquals(texts(svg).filter((text) => ["ebsockets", "redis", "1 → 4"].includes(text)), []);
  assertNotMatch(svg, /NaN|Infinity|undefined|null/);
});

Deno.test("drawResults() is well-formed for any figures", () => {
  for (const figures of [{}, { "1": { redis: 1e-9 } }, { "1": { redis: 1e9 }, "500": { ws: 1 } }]) {
    assert(isWellFormed(draw(figures, [...PEERS, "ws"])));
  }
  assertFalse(isWellFormed("<a><b></a></b>"));
  assertFalse(isWellFormed("<a>&</a>"));
});
