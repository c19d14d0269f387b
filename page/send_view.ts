/**
 * The form that publishes an event, or sends it as a request.
 *
 * @module
 */

/// <reference lib="dom" />

import type { EbsocketEvent } from "../client.ts";
import { printable } from "../protocol/printable.ts";
import { countOf } from "../protocol/units.ts";
import { byId, setText } from "./dom.ts";
import { type Draft, readAttributes } from "./draft.ts";
import { messageOf, prettyJson } from "./pretty.ts";
import type { Link } from "./link.ts";

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
      const { attributes } = this.#check();
      if (attributes) this.#send(attributes, button?.value === "request");
      else this.#attributes.focus();
    });
  }

  /** Reads the attributes, and shows whether they are valid. */
  #check(): Draft {
    const draft = readAttributes(this.#attributes.value);
    setText(byId("attributes-fault"), printable(draft.fault));
    this.#attributes.ariaInvalid = String(draft.fault !== "");
    return draft;
  }

  async #send(attributes: Readonly<Record<string, unknown>>, isRequest: boolean): Promise<void> {
    const name = byId<HTMLInputElement>("name").value;
    const to = byId<HTMLInputElement>("to").value.trim() || null;
    this.#reply.hidden = true;
    this.#say(isRequest ? "Waiting for a reply" : "");
    try {
      if (isRequest) this.#show(await this.#link.request(name, attributes, to));
      else {
        const count = await this.#link.publish(name, attributes, to);
        this.#say(
          count === 0
            ? "Published, but no client hears it"
            : `Published to ${countOf(count, "client")}`,
        );
      }
    } catch (error) {
      this.#say(messageOf(error));
    }
  }

  #show({ event, from, __dict__ }: EbsocketEvent): void {
    this.#say(`Reply ${event}${from === null ? "" : ` from ${from}`}`);
    this.#reply.textContent = prettyJson(__dict__);
    this.#reply.hidden = false;
  }

  #say(text: string): void {
    setText(byId("send-result"), printable(text));
  }
}
