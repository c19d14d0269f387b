/**
 * WebSocket (RFC 6455) as the codec of a connection.
 *
 * @module
 */

import type { Transport } from "../protocol/address.ts";
import type { CloseReason } from "../errors.ts";
import type { Codec, DecodeFault } from "./codec.ts";
import { type Encoding, isControlAt } from "./encoding.ts";
import {
  copyNumberedFrames,
  countFrames,
  endOfFrame,
  isText,
  numberedFramesLength,
  payloadLengthAt,
} from "../protocol/encoded_frames.ts";
import { FrameDecoder } from "../protocol/frame_decoder.ts";
import { closeFrame, encodeFrames, headLength, headOf, PING } from "../protocol/frame_encoder.ts";
import { closeCodeOf } from "../protocol/websocket.ts";

/** One text message for each line, without its line end. */
const FRAMES: Encoding = {
  encode: encodeFrames,
  countLines: countFrames,
  endOfLine: endOfFrame,
  isSelfDelimiting: false,
  events: {
    addedLength: (bytes, first) => numberedFramesLength(bytes, first) - bytes.length,
    copyNumbered: copyNumberedFrames,
    headOf(bytes, start, added) {
      const payload = payloadLengthAt(bytes, start);
      return { length: headLength(payload), longer: headOf(payload + added) };
    },
    plainLength: (bytes, start) => payloadLengthAt(bytes, start) + 1,
    isControl(bytes, start) {
      const text = start + headLength(payloadLengthAt(bytes, start));
      return !isText(bytes, start) || isControlAt(bytes, text);
    },
  },
};

/** The server's side of a WebSocket connection. */
export class WebSocketCodec implements Codec {
  readonly #decoder = new FrameDecoder();

  get transport(): Transport {
    return "websocket";
  }

  get encoding(): Encoding {
    return FRAMES;
  }

  get probe(): Uint8Array {
    return PING;
  }

  get fault(): DecodeFault | null {
    return this.#decoder.fault;
  }

  get ended(): string | null {
    const { closed } = this.#decoder;
    return closed && `WebSocket close code ${closed.code}`;
  }

  /** After a fault, nothing of the peer can be read. */
  get expectsFarewell(): boolean {
    return this.#decoder.fault === null;
  }

  get headroom(): number {
    return this.#decoder.headroom;
  }

  decode(bytes: Uint8Array): number {
    return this.#decoder.decode(bytes);
  }

  takeAnswer(): Uint8Array | null {
    return this.#decoder.takePong();
  }

  takeChatter(): number {
    return this.#decoder.takeChatter();
  }

  farewell(reason: CloseReason): Uint8Array {
    return closeFrame(closeCodeOf(reason), reason);
  }
}
