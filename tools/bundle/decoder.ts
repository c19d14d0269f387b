/**
 * Takes the place of `protocol/decoder.ts` in `client.js`.
 *
 * @module
 */

import type { ControlLine } from "../../protocol/control.ts";
import type { BlockDecoder as Original } from "../../protocol/decoder.ts";
import type { EventFormatError } from "../../errors.ts";
import { type EbsocketEvent, toEvent } from "../../protocol/event.ts";
import { byteLength, decoder } from "../../protocol/utf8.ts";
import { readLine } from "./line.ts";

/** Decodes blocks of lines. */
export class BlockDecoder implements Pick<Original, keyof Original> {
  fault: EventFormatError | null = null;
  lines = 0;
  eventBytes = 0;

  constructor(readonly maxDepth: number) {}

  decode(block: Uint8Array): (EbsocketEvent | ControlLine)[] {
    const decoded: (EbsocketEvent | ControlLine)[] = [];
    const texts = decoder.decode(block).split("\n");
    texts.pop();
    this.fault = null;
    this.lines = 0;
    this.eventBytes = block.length;
    for (const text of texts) {
      this.lines++;
      try {
        const line = text !== "" && text !== "\r" && readLine(text);
        if (line && "event" in line) {
          decoded.push(toEvent(line));
          continue;
        }
        if (line) decoded.push(line as ControlLine);
      } catch (error) {
        this.fault = error as EventFormatError;
        return decoded;
      }
      this.eventBytes -= byteLength(text) + 1;
    }
    return decoded;
  }
}
