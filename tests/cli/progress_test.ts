import { assertEquals } from "@std/assert/equals";
import { Progress } from "../../cli/progress.ts";

Deno.test("Progress.update() shows how far it has come, ten times a second at most", () => {
  let text = "";
  let now = 0;
  const progress = new Progress((more) => text += more, () => now);
  progress.clear();
  assertEquals(text, "");
  now = 1000;
  progress.update({ sent: 12_345, taken: 12_000 });
  now = 1099;
  progress.update({ sent: 20_000, taken: 20_000 });
  now = 2000;
  progress.update({ sent: 30_000, taken: 30_000 });
  progress.clear();
  assertEquals(text.split("\r\x1b[2K"), [
    "",
    "12,345 events sent, 12,000 taken, 12,345/s",
    "30,000 events sent, 30,000 taken, 15,000/s",
    "",
  ]);
});

Deno.test("Progress shows nothing where nobody sees it", () => {
  const progress = new Progress(null);
  progress.update({ sent: 1, taken: 1 });
  progress.clear();
});
