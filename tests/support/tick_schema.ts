/** A module as users give it to `--schema`, which imports the main entry: a `tick` has a number `n`. */

import { defineEvents, type EventDefinitions } from "../../mod.ts";
import { schemaOf } from "./schemas.ts";

const events: EventDefinitions<{ tick: { n: number } }> = defineEvents({
  tick: schemaOf<{ n: number }>((value) => {
    const { n } = value as { n?: unknown };
    return typeof n === "number"
      ? { value: { n } }
      : { issues: [{ path: ["n"], message: "No number" }] };
  }),
});

export default events;
