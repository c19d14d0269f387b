import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { sha1 } from "../../protocol/sha1.ts";
import { utf8 } from "../support/bytes.ts";
import { fuzzRuns } from "../support/lines.ts";

Deno.test("sha1() returns the digests of the examples of FIPS 180", () => {
  const long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (
    const [text, digest] of [
      ["", "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
      ["abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
      [long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"],
      ["a".repeat(1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"],
    ] as const
  ) {
    assertEquals(sha1(utf8(text)).toHex(), digest);
  }
});

Deno.test("sha1() agrees with crypto.subtle for messages of any length", async () => {
  const message = fc.uint8Array({ maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(message, async (bytes) => {
      const expected = await crypto.subtle.digest("SHA-1", new Uint8Array(bytes));
      assertEquals(sha1(bytes).toHex(), new Uint8Array(expected).toHex());
    }),
    { numRuns: fuzzRuns(1000) },
  );
});
