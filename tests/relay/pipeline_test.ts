/** The parts of a relay together: when each of them is there. */

import { assertEquals } from "@std/assert/equals";
import { Pipeline } from "../../relay/pipeline.ts";
import type { HttpRequest } from "../../protocol/http.ts";
import type { HttpResponse } from "../../protocol/http_response.ts";
import type { Site } from "../../web/site.ts";

const RESPONSE: HttpResponse = { kind: "response", status: 200, headers: {}, body: "" };

Deno.test("Pipeline.onRequest() loads what answers requests once, and tries again if that fails", async () => {
  let loads = 0;
  const pipeline = new Pipeline({ pendingBytes: 0 }, {}, () => {
    if (++loads === 1) return Promise.reject(new Error("no such file"));
    return Promise.resolve({ answer: () => RESPONSE } as unknown as Site);
  }, () => {});
  pipeline.start();
  assertEquals(loads, 0);
  const ask = () => pipeline.onRequest({} as HttpRequest, true);
  assertEquals(await ask().catch(({ message }: Error) => message), "no such file");
  assertEquals(await Promise.all([ask(), ask()]), [RESPONSE, RESPONSE]);
  assertEquals(await ask(), RESPONSE);
  assertEquals(loads, 2);
  await pipeline.stop();
});
