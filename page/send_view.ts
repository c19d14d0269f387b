/**
 * The form that publishes an event, or sends it as a request.
 *
 * @module
 */

/// <reference lib="dom" />

import { printable } from "../protocol/printable.ts";
import { countOf } from "../protocol/units.ts";
import { byId, setText } from "./dom.ts";
import { faultOfAttributes, lineOf } from "./draft.ts";
import { parseJson, toJson } from "./json.ts";
import type { Link } from "./link.ts";

const decoder = new TextDecoder();

/** The part of the page that sends events. */
export class SendView {
  readonly #link: Link;
  readonly #attributes = byId<HTMLTextAreaElement>("attributes");
  readonly #reply = byId("send-reply");

  /** Makes the form work. */
  constructor(link: Link) {
    this.#link = link;
    this.#attributes.addEventListener("change", () => this.#check());
    this.#attributes.addEventListener("input", () => {
      if (this.#attributes.ariaInvalid === "true") this.#check();
    });
    byId("send-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const button = (event as SubmitEvent).submitter as HTMLButtonElement | null;
      if (this.#check()) this.#send(button?.value === "request");
      else this.#attributes.focus();
    });
  }

  /** Shows whether the attributes are valid. */
  #check(): boolean {
    const fault = faultOfAttributes(this.#attributes.value);
    setText(byId("attributes-fault"), printable(fault));
    this.#attributes.ariaInvalid = String(fault !== "");
    return fault === "";
  }

  async #send(isRequest: boolean): Promise<void> {
    const name = byId<HTMLInputElement>("name").value;
    const to = byId<HTMLInputElement>("to").value.trim() || null;
    this.#reply.hidden = true;
    this.#say(isRequest ? "Waiting for a reply" : "");
    try {
      const line = lineOf(name, this.#attributes.value);
      if (isRequest) await this.#request(line, to);
      else {
        const count = await this.#link.publish(line, to);
        this.#say(
          count === 0
            ? "Published, but no client hears it"
            : `Published to ${countOf(count, "client")}`,
        );
      }
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    }
  }

  async #request(line: Uint8Array, to: string | null): Promise<void> {
    const start = performance.now();
    const reply = await this.#link.request(line, to);
    const took = Math.round(performance.now() - start);
    const { __dict__ = {} } = parseJson(decoder.decode(reply.line)) as { __dict__?: object };
    const from = reply.from === null ? "" : ` from ${reply.from}`;
    this.#say(`Reply ${reply.event}${from} after ${took} ms`);
    const lines = toJson(__dict__, 2).split("\n");
    this.#reply.textContent = lines.map(printable).join("\n");
    this.#reply.hidden = false;
  }

  #say(text: string): void {
    setText(byId("send-result"), printable(text));
  }
}
