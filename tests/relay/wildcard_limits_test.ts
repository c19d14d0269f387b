import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { placesOf, shapeOf } from "../../relay/subscriptions.ts";

Deno.test("shapeOf() treats plain tokens as equal, up to the last wildcard", () => {
  const table: [pattern: string, shape: string][] = [
    ["a.b.c", ""],
    ["", ""],
    ["a*.b>.**", ""],
    ["*", "*"],
    [">", ">"],
    ["room.7.*", "xx*"],
    ["room.8.*", "xx*"],
    ["room.9.*.text", "xx*"],
    ["..*.", "xx*"],
    ["*.a.b.*.c", "*xx*"],
    ["*.a.>", "*x>"],
  ];
  for (const [pattern, shape] of table) assertEquals(shapeOf(pattern), shape, pattern);
});

Deno.test("placesOf() counts the tokens from the first wildcard on, and common ones once", () => {
  assertEquals(placesOf([]), 0);
  assertEquals(placesOf(["xx*"]), 1);
  assertEquals(placesOf(["x*", "x*x*", "x*x>"]), 4);
  assertEquals(placesOf(["x*", "*x*", "x>"]), 5);
  assertEquals(placesOf([">", "x>", "xx>"]), 3);
});

Deno.test("placesOf() counts each prefix with a wildcard once, whatever the shapes are", () => {
  const token = fc.constantFrom("x", "x", "*");
  const shape = fc.tuple(fc.array(token, { maxLength: 6 }), fc.constantFrom("*", ">", "x*x*"))
    .map(([tokens, end]) => tokens.join("") + end);
  fc.assert(fc.property(fc.uniqueArray(shape, { maxLength: 12 }), (shapes) => {
    const beginnings = shapes.flatMap((shape) =>
      Array.from(shape, (_, i) => shape.slice(0, i + 1)).filter((each) => /[*>]/.test(each))
    );
    assertEquals(placesOf(shapes), new Set(beginnings).size);
  }));
});
