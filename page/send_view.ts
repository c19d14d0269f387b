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
import { prettyJson } from "./pretty.ts";
import type { Link } from "./link.ts";
import { describePublishFailure, describeRequestFailure } from "./words.ts";

/** The part of the page that sends events. */
export class SendView {
  readonly #link: Link;
  readonly #attributes = byId<HTMLTextAreaElement>("attributes");
  readonly #reply = byId("send-reply");
  /** Number of times that a button was pressed. Only the last one's result is shown. */
  #attempts = 0;

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
      this.#attempts++;
      this.#clear();
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
    const attempt = this.#attempts;
    if (isRequest) this.#say("Waiting for a reply");
    let result: EbsocketEvent | string;
    try {
      if (isRequest) result = await this.#link.request(name, attributes, to);
      else result = describeCount(await this.#link.publish(name, attributes, to));
    } catch (error) {
      const describe = isRequest ? describeRequestFailure : describePublishFailure;
      result = describe(error, name);
    }
    if (attempt !== this.#attempts) return;
    if (typeof result === "string") this.#say(result);
    else this.#show(result);
  }

  #clear(): void {
    this.#say("");
    this.#reply.hidden = true;
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

/** Returns what became of an event that was published to so many clients. */
function describeCount(clients: number): string {
  return clients === 0
    ? "Published, but no client hears it"
    : `Published to ${countOf(clients, "client")}`;
}
