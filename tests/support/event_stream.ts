/**
 * A reader of server-sent events, one character at a time, written from section 9.2.6 of the HTML
 * standard.
 *
 * @module
 */

/** A message, as an `EventSource` delivers it. */
export interface Message {
  readonly type: string;
  readonly data: string;
}

/** Interprets the text of a stream, in chunks of any size. */
export class EventStreamReader {
  /** The messages so far. */
  readonly messages: Message[] = [];
  /** The comments so far, without their colon. */
  readonly comments: string[] = [];
  /** The last event ID as of each message. */
  readonly ids: string[] = [];
  /** The last event ID so far, which an `EventSource` sends when it connects again. */
  lastEventId = "";
  #isStart = true;
  #isAfterReturn = false;
  #line = "";
  #type = "";
  #data: string[] = [];
  #id = "";

  /** Adds the next characters of the stream. */
  push(text: string): this {
    for (const character of text) this.#take(character);
    return this;
  }

  #take(character: string): void {
    const isStart = this.#isStart;
    this.#isStart = false;
    if (isStart && character === "\ufeff") return;
    const isSecondHalf = this.#isAfterReturn && character === "\n";
    this.#isAfterReturn = character === "\r";
    if (isSecondHalf) return;
    if (character !== "\n" && character !== "\r") this.#line += character;
    else {
      const line = this.#line;
      this.#line = "";
      this.#interpret(line);
    }
  }

  #interpret(line: string): void {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.comments.push(line.slice(1));
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const rest = colon < 0 ? "" : line.slice(colon + 1);
    const value = rest.startsWith(" ") ? rest.slice(1) : rest;
    if (field === "event") this.#type = value;
    if (field === "data") this.#data.push(value);
    if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch(): void {
    const data = this.#data.join("\n");
    this.lastEventId = this.#id;
    if (data !== "") {
      this.messages.push({ type: this.#type || "message", data });
      this.ids.push(this.#id);
    }
    this.#type = "";
    this.#data = [];
  }
}
