/**
 * A stream of frames of one size that repeats without end, and its comparison with a received
 * stream.
 *
 * A short stream that stays in the cache replaces a long one: no two frames of a round are alike,
 * and far fewer are in flight than a round has, so that a missing, doubled or reordered frame still
 * differs from what is expected.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Frames, over and over again; positions are bytes from the first round on. */
export class FrameRing {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly frameBytes: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, frameBytes: number) {
    if (bytes.length === 0 || bytes.length % frameBytes !== 0) {
      throw new RangeError(`Cannot make frames of ${frameBytes} bytes from ${bytes.length}`);
    }
    this.bytes = bytes;
    this.frameBytes = frameBytes;
  }

  /** Puts frames into a ring; they must be of one size. */
  static from(frames: Uint8Array[]): FrameRing {
    const size = frames[0]?.length ?? 0;
    const bytes = new Uint8Array(frames.length * size);
    frames.forEach((frame, i) => {
      if (frame.length !== size) throw new RangeError(`Frame ${i} has not ${size} bytes`);
      bytes.set(frame, i * size);
    });
    return new FrameRing(bytes, size);
  }

  /** What is at `from`, up to `to` or the end of the round. */
  slice(from: number, to: number): Uint8Array<ArrayBuffer> {
    const start = from % this.bytes.length;
    return this.bytes.subarray(start, Math.min(this.bytes.length, start + to - from));
  }

  /** Where `bytes` begin to differ from what is at `position`, or -1. */
  mismatch(position: number, bytes: Uint8Array): number {
    for (let done = 0; done < bytes.length;) {
      const expected = this.slice(position + done, position + bytes.length);
      const actual = bytes.subarray(done, done + expected.length);
      // Native, and so many times cheaper than any loop: the reader must keep up with the server.
      if (Buffer.compare(actual, expected) !== 0) {
        return done + actual.findIndex((byte, i) => byte !== expected[i]);
      }
      done += expected.length;
    }
    return -1;
  }
}
