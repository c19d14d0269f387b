/**
 * A page in Chromium, as a person uses it: with a mouse and a keyboard.
 *
 * @module
 */

import { DevTools } from "../../bench/clients/devtools.mjs";
import { TempFolder } from "./folder.ts";
import type { Need } from "./needs.ts";
import { canRun, Program } from "./process.ts";
import { soon, until } from "./waiting.ts";

const name = ["chromium", "chromium-browser", "google-chrome"]
  .find((each) => canRun(each, ["--version"]));

/** The program. */
export const CHROMIUM_PROGRAM: Need = { name: "chromium", isMet: name !== undefined };

/** The sandbox does not work for root. The tests trust their own pages and certificates. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-features=LocalNetworkAccessChecks",
  "--ignore-certificate-errors",
  "--window-size=1280,1000",
  "--remote-debugging-port=0",
];

/** Notes what a page must not do, before its own scripts run. */
const WATCH = `
  globalThis.complaints = [];
  addEventListener("error", ({ message }) => complaints.push(message));
  addEventListener("unhandledrejection", ({ reason }) => complaints.push(String(reason)));
  addEventListener("securitypolicyviolation", (event) =>
    complaints.push(event.violatedDirective + " " + event.blockedURI));`;

/** Characters of keys that have other names. */
const CODES: Readonly<Record<string, number>> = { Escape: 27, Enter: 13, Tab: 9 };

/** How often a click that has missed its element is tried again. */
const MAX_CLICKS = 10;

/** A page in a browser of its own. */
export class ChromiumPage implements AsyncDisposable {
  readonly #folder = new TempFolder();
  readonly #program: Program;
  /** The tools that control the page. */
  tools!: DevTools;
  #loaded = Promise.withResolvers<void>();

  private constructor() {
    const profile = `--user-data-dir=${this.#folder.path}`;
    this.#program = new Program(name!, [...FLAGS, profile, "about:blank"]);
  }

  /** Starts Chromium with the page at `url`. */
  static async open(url?: string): Promise<ChromiumPage> {
    const page = new ChromiumPage();
    try {
      page.tools = await DevTools.openPage(await page.#address());
      page.tools.on("Page.loadEventFired", () => page.#loaded.resolve());
      await page.tools.send("Page.enable");
      await page.tools.send("Page.addScriptToEvaluateOnNewDocument", { source: WATCH });
      if (url !== undefined) await page.goTo(url);
      return page;
    } catch (error) {
      await page[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #address(): Promise<string> {
    let lines: string[] = [];
    await until(() => {
      try {
        lines = Deno.readTextFileSync(`${this.#folder.path}/DevToolsActivePort`).split("\n");
      } catch {
        // It has not been written yet.
      }
      return lines.length > 1;
    }, { what: "Chromium listens", everyMs: 20 });
    return `ws://127.0.0.1:${lines[0]}${lines[1]}`;
  }

  /** Opens an address, and waits until it has loaded. */
  async goTo(url: string): Promise<void> {
    this.#loaded = Promise.withResolvers();
    const { errorText } = await this.tools.send("Page.navigate", { url });
    if (errorText) throw new Error(`Cannot open ${url}: ${errorText}`);
    await soon(this.#loaded.promise, `the page at ${url}`);
  }

  /** Runs a script in the page, and resolves to the value of its last statement. */
  async value(script: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.tools.send("Runtime.evaluate", {
      expression: script,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  /** Waits until an expression in the page is true. */
  async sees(expression: string): Promise<void> {
    let isSeen = false;
    let isAsking = false;
    const ask = async () => {
      isAsking = true;
      isSeen = Boolean(await this.value(expression));
      isAsking = false;
    };
    await until(() => {
      if (!isAsking && !isSeen) ask();
      return isSeen;
    }, { what: expression, everyMs: 20 });
  }

  /** The text of an element, as a person sees it. */
  async text(selector: string): Promise<string> {
    return await this.value(
      `document.querySelector(${JSON.stringify(selector)}).innerText`,
    ) as string;
  }

  /** Waits until the text of an element matches `pattern`. */
  async shows(selector: string, pattern: RegExp): Promise<void> {
    const element = `document.querySelector(${JSON.stringify(selector)})`;
    try {
      await this.sees(`${pattern}.test(${element}?.innerText ?? "")`);
    } catch (error) {
      throw new Error(`${selector} shows: ${await this.text(selector)}`, { cause: error });
    }
  }

  /**
   * Clicks into the middle of an element, again if it has moved away meanwhile, as when a row appears
   * above it.
   */
  async click(selector: string): Promise<void> {
    for (let tries = 0; !await this.#tryClick(selector); tries++) {
      if (tries === MAX_CLICKS) throw new Error(`No click has reached ${selector}`);
    }
  }

  /** Clicks once. Returns whether it has reached the element. */
  async #tryClick(selector: string): Promise<boolean> {
    const [x, y] = await this.value(`(() => {
      const target = document.querySelector(${JSON.stringify(selector)});
      globalThis.isClicked = false;
      target.addEventListener("click", () => isClicked = true, { once: true, capture: true });
      target.scrollIntoView({ block: "center" });
      const { x, y, width, height } = target.getBoundingClientRect();
      return [x + width / 2, y + height / 2];
    })()`) as [number, number];
    for (const type of ["mousePressed", "mouseReleased"]) {
      const params = { type, x, y, button: "left", clickCount: 1 };
      await this.tools.send("Input.dispatchMouseEvent", params);
    }
    return await this.value("isClicked") as boolean;
  }

  /** Presses a key. */
  async press(key: string): Promise<void> {
    const windowsVirtualKeyCode = CODES[key] ?? key.toUpperCase().charCodeAt(0);
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    const params = { key, windowsVirtualKeyCode, ...(text !== undefined && { text }) };
    await this.tools.send("Input.dispatchKeyEvent", { type: "keyDown", ...params });
    await this.tools.send("Input.dispatchKeyEvent", { type: "keyUp", ...params });
  }

  /** Types a text into the focused field, in place of the selected text. */
  async type(text: string): Promise<void> {
    await this.tools.send("Input.insertText", { text });
  }

  /** Types a text into a field, in place of what is there. */
  async fill(selector: string, text: string): Promise<void> {
    await this.value(`document.querySelector(${JSON.stringify(selector)}).select()`);
    await this.type(text);
  }

  /** Whatever went wrong in the page: errors, and violations of its policy. */
  async complaints(): Promise<unknown> {
    return await this.value("complaints");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
