/** A module as users give it to `--schema`: each `tick` has a number `n`. */

import { defineEvents, type EventDefinitions } from "../../define.ts";
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
