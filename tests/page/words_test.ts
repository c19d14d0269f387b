import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { NoRespondersError, RequestTimeoutError } from "../../errors.ts";
import { EbsocketEvent } from "../../event.ts";
import {
  describeLoss,
  describeNoFigures,
  describePublishFailure,
  describeRequestFailure,
  describeUnauthorized,
} from "../../page/words.ts";

Deno.test("describeUnauthorized() calls a token wrong only after one was given", () => {
  assertStrictEquals(describeUnauthorized(null), "This relay asks for a token.");
  assertStrictEquals(describeUnauthorized("guess"), "This token is wrong.");
});

Deno.test("describeLoss() tells the time of day", () => {
  const at = new Date(2026, 0, 2, 3, 4, 5).getTime();
  assertStrictEquals(describeLoss(at), "No relay since 03:04:05; trying again");
});

Deno.test("describeNoFigures() names the option that a relay was started with", () => {
  assertStrictEquals(
    describeNoFigures("not-allowed"),
    "This relay gives no figures (--no-inspect). Tail and Send work.",
  );
  assertStrictEquals(
    describeNoFigures("not-supported"),
    "This relay gives no figures. Tail and Send work.",
  );
});

Deno.test("describeRequestFailure() tells that a request without a reply may have been done", () => {
  const error = new RequestTimeoutError("Cannot request EbsocketEvent<time.now>: no answer");
  assertStrictEquals(
    describeRequestFailure(error, "time.now"),
    "No reply to time.now within 5 s; it may or may not have been done",
  );
});

Deno.test("Failures name the event, and no class", () => {
  for (const name of ["sum", "a$&b", "bell\u0007"]) {
    const subject = new EbsocketEvent(name, {});
    const error = new NoRespondersError(`Cannot request ${subject}: no other client is there`);
    for (const describe of [describeRequestFailure, describePublishFailure]) {
      const text = describe(error, name);
      assertMatch(text, /^Cannot request \S+: no other client is there$/);
      assertStrictEquals(text.includes("EbsocketEvent"), false, text);
    }
  }
});
