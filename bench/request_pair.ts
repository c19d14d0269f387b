/**
 * A requester and a responder that use a client library, each a process of its own, and the wait
 * for their work.
 *
 * @module
 */

import { ClientProcess, STALL_MS, type ToClientCommand } from "./client_process.ts";
import { messageAttributes } from "./fixtures.ts";
import type { ProcessOptions } from "./measured_process.ts";
import { within } from "./within.ts";

const FLOAT_BYTES = Float64Array.BYTES_PER_ELEMENT;

/** What a program of the pair is for. */
export type RequestRole = "requester" | "responder";

/** A responder, and a requester that checks every answer. */
export class RequestPair implements AsyncDisposable {
  readonly requester: ClientProcess;
  readonly responder: ClientProcess;
  /** Rejects when the responder ends; it has nothing to say before. */
  readonly #responderEnd: Promise<Uint8Array>;

  private constructor(requester: ClientProcess, responder: ClientProcess) {
    this.requester = requester;
    this.responder = responder;
    this.#responderEnd = responder.hear();
    this.#responderEnd.catch(() => {});
  }

  /**
   * Starts both, with `clients/request_program.mjs`, as clients of the server on `port`. The
   * requester has `parallel` requests open at a time.
   */
  static async start(
    port: number,
    parallel: number,
    toCommand: ToClientCommand,
    options: ProcessOptions,
  ): Promise<RequestPair> {
    const first = { event: "message", attributes: messageAttributes(0) };
    const start = (role: RequestRole) => {
      const args = [role, `${port}`, `${parallel}`, JSON.stringify(first)];
      return ClientProcess.start(role, toCommand(args), options);
    };
    const responder = await start("responder");
    try {
      return new RequestPair(await start("requester"), responder);
    } catch (error) {
      await responder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Has `count` requests made; resolves to how long each took, in microseconds. */
  async request(count: number): Promise<Float64Array> {
    const bytes = new Uint8Array(FLOAT_BYTES * count);
    await this.requester.ask(new TextEncoder().encode(`${count}\n`));
    for (let filled = 0; filled < bytes.length;) {
      const more = Promise.race([this.requester.hear(), this.#responderEnd]);
      const chunk = await within(STALL_MS, "Waiting for answers", more);
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: count }, (_, i) => view.getFloat64(FLOAT_BYTES * i, true));
  }

  /** Ends both programs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.requester[Symbol.asyncDispose]();
    await this.responder[Symbol.asyncDispose]();
  }
}
