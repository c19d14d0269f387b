import { assertEquals } from "@std/assert/equals";
import { Screen } from "../../cli/screen.ts";

Deno.test("Screen hides the cursor, and restores the screen once", () => {
  let written = "";
  {
    using screen = new Screen((text) => written += text);
    assertEquals(written, "\x1b[?1049h\x1b[?25l");
    screen[Symbol.dispose]();
  }
  assertEquals(written, "\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l");
});

Deno.test("Screen.draw() clears the lines of before", () => {
  let written = "";
  using screen = new Screen((text) => written = text);
  screen.draw(["one", "two"]);
  assertEquals(written, "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J");
});

Deno.test("Screen restores the screen when the process ends", () => {
  let written = "";
  using _ = new Screen((text) => written = text);
  dispatchEvent(new Event("unload"));
  assertEquals(written, "\x1b[?25h\x1b[?1049l");
});
