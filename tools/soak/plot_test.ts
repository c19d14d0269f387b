import { assertEquals } from "@std/assert/equals";
import { drawMemory } from "./plot.ts";

const MB = 1e6;

function pointsOf(svg: string): number[][][] {
  return [...svg.matchAll(/points="([^"]*)"/g)].map(([, points]) =>
    points!.split(" ").map((point) => point.split(",").map(Number))
  );
}

Deno.test("drawMemory() draws a line for each process, later to the right and more higher up", () => {
  const svg = drawMemory([
    { name: "relay", samples: [{ at: 0, bytes: 50 * MB }, { at: 60, bytes: 100 * MB }] },
    { name: "clients", samples: [{ at: 0, bytes: 50 * MB }, { at: 60, bytes: 20 * MB }] },
  ], []);
  const [relay, clients] = pointsOf(svg) as [number[][], number[][]];
  assertEquals(relay[0], clients[0]);
  assertEquals([relay[1]![0]! > relay[0]![0]!, relay[1]![1]! < relay[0]![1]!], [true, true]);
  assertEquals(clients[1]![1]! > clients[0]![1]!, true);
  assertEquals([svg.includes(">relay</text>"), svg.includes(">clients</text>")], [true, true]);
});

Deno.test("drawMemory() marks what was done", () => {
  const samples = [{ at: 0, bytes: MB }, { at: 10, bytes: MB }];
  const svg = drawMemory([{ name: "relay", samples }], [{ at: 5, what: "cable pulled" }]);
  assertEquals(svg.match(/<title>/g)?.length, 1);
  assertEquals(svg.includes("<title>cable pulled</title>"), true);
});

Deno.test("drawMemory() draws a frame when there is nothing to draw", () => {
  assertEquals(drawMemory([], []).endsWith("</svg>\n"), true);
});
