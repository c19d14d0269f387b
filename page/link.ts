/**
 * The page's connection to the relay: it asks for reports, follows a pattern, and sends events.
 *
 * @module
 */

/// <reference lib="dom" />

import type { ClientStatus, EbsocketEvent } from "../client.ts";
import type { CloseInfo } from "../errors.ts";
import { printable } from "../protocol/printable.ts";
import type { RelayReport } from "../protocol/report.ts";
import { type Client, loadLibrary, socketAddress } from "./library.ts";
import { describeLoss, REQUEST_TIMEOUT_MS } from "./words.ts";

/** Time between two questions about the relay, in milliseconds. */
const INTERVAL_MS = 1000;

/** The same while the page is hidden. The relay does not count names then. */
const HIDDEN_INTERVAL_MS = 10_000;

/** Time after which a relay that cannot be reached is tried again, in milliseconds. */
const RETRY_MS = 2000;

type Attributes = Readonly<Record<string, unknown>>;

/** The parts of the page that show the connection. */
export interface LinkView {
  /** Shows the state in a word or two: whether there is a connection. */
  onState(state: "live" | "lost" | "waiting", words: string): void;
  /** Asks for a token, since the relay has refused a connection with this one, or without one. */
  onUnauthorized(token: string | null): void;
  /** Shows why the page does not go on by itself. */
  onEnd(why: string): void;
  /** Shows the state of the relay. `before` is the report before, or `null`. */
  onReport(before: RelayReport | null, after: RelayReport): void;
  /** Shows that there are no reports. `code` is that of the error. */
  onNoReport(code: "not-allowed" | "not-supported"): void;
  /** Shows events of the pattern that is followed. */
  onEvents(events: readonly EbsocketEvent[]): void;
}

/** A connection that is made again whenever it is lost. */
export class Link {
  readonly #view: LinkView;
  #client: Client | null = null;
  #token: string | null = null;
  #pattern: string | null = null;
  /** Whether a connection has been lost or could not be made, and there has been none since. */
  #isLost = false;

  constructor(view: LinkView) {
    this.#view = view;
  }

  /** The ID that the relay has given to this page, or `null`. */
  get id(): string | null {
    return this.#client?.id ?? null;
  }

  /** Connects with a token, or without one. Ends the connection before. */
  async connect(token: string | null): Promise<void> {
    const { EbsocketClient } = await loadLibrary();
    const client = new EbsocketClient({
      reconnect: true,
      ...(token !== null && { token }),
    });
    this.#client?.close();
    this.#client = client;
    this.#token = token;
    this.#isLost = false;
    client.subscribe(this.#pattern === null ? [] : [this.#pattern]).catch(() => {});
    this.#watch(client);
    if (!await this.#reach(client)) return;
    this.#poll(client);
    this.#receive(client);
    const info = await client.closed;
    if (client === this.#client) this.#end(info);
  }

  /**
   * Follows the events of a pattern, or of none. Resolves when the relay has agreed, and events that
   * were on their way before have arrived.
   *
   * @throws If the pattern is invalid, or the relay refuses it.
   */
  async follow(pattern: string | null): Promise<void> {
    const before = this.#pattern;
    if (pattern === before) return;
    this.#pattern = pattern;
    // At once, so that they are sent in one line.
    const subscribed = pattern === null ? null : this.#client?.subscribe([pattern]);
    const unsubscribed = before === null ? null : this.#client?.unsubscribe([before]);
    try {
      await Promise.all([subscribed, unsubscribed]);
    } catch (error) {
      // Without a connection, the client remembers what it is to do.
      if (isLost(error)) return;
      if (this.#pattern === pattern) this.#pattern = null;
      throw error;
    }
  }

  /**
   * Publishes an event. Resolves to the number of clients that the relay has queued it for.
   *
   * @param to The only recipient, or `null`.
   */
  async publish(name: string, attributes: Attributes, to: string | null): Promise<number> {
    return await this.#open.send(name, attributes, { confirm: true, ...(to !== null && { to }) });
  }

  /** Sends a request. Resolves to the reply. */
  async request(name: string, attributes: Attributes, to: string | null): Promise<EbsocketEvent> {
    const timeout = REQUEST_TIMEOUT_MS;
    return await this.#open.request(name, attributes, { timeout, ...(to !== null && { to }) });
  }

  get #open(): Client {
    if (!this.#client?.connected) throw new Error("There is no connection to the relay");
    return this.#client;
  }

  /** Connects, however long that takes. Resolves to whether it has succeeded. */
  async #reach(client: Client): Promise<boolean> {
    while (client === this.#client) {
      try {
        await client.connectTo(socketAddress());
        return true;
      } catch (error) {
        const { reason, message } = error as { reason?: string; message: string };
        if (reason === "unauthorized") {
          this.#lose("Not connected");
          this.#view.onUnauthorized(this.#token);
          return false;
        }
        this.#lose(`Not connected: ${printable(message)}`);
        await pause(RETRY_MS);
      }
    }
    return false;
  }

  /** Shows each change of the connection. */
  async #watch(client: Client): Promise<void> {
    for await (const status of client.status()) {
      if (client !== this.#client) return;
      this.#show(status);
    }
  }

  #show(status: ClientStatus): void {
    if (status.type === "connecting" && !this.#isLost) {
      this.#view.onState("waiting", "Connecting");
    } else if (status.type === "connected" || status.type === "reconnected") {
      this.#isLost = false;
      this.#view.onState("live", status.id === null ? "Connected" : `Connected as ${status.id}`);
    } else if (status.type === "disconnected") {
      this.#lose(describeLoss(Date.now()));
    }
  }

  #lose(words: string): void {
    this.#isLost = true;
    this.#view.onState("lost", words);
  }

  #end(info: CloseInfo): void {
    this.#lose("Not connected");
    if (info.reason === "unauthorized") this.#view.onUnauthorized(this.#token);
    else this.#view.onEnd(`The connection has ended: ${describe(info)}`);
  }

  /** Asks for the state of the relay, again and again. */
  async #poll(client: Client): Promise<void> {
    let before: RelayReport | null = null;
    while (client === this.#client) {
      try {
        const after: RelayReport = await client.inspect();
        this.#view.onReport(before, after);
        before = after;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "not-allowed" || code === "not-supported") {
          return this.#view.onNoReport(code);
        }
        if (!client.connected) before = null;
      }
      await pause(document.hidden ? HIDDEN_INTERVAL_MS : INTERVAL_MS);
    }
  }

  async #receive(client: Client): Promise<void> {
    for (;;) {
      const events = await client.recvEvents();
      if (events.length === 0) return;
      this.#view.onEvents(events);
    }
  }
}

/** Returns whether an error only reports that there is no connection, or none that answers. */
function isLost(error: unknown): boolean {
  return ["connection-closed", "timeout"].includes((error as { code?: string }).code ?? "");
}

/** Returns a reason in words. */
function describe({ reason, detail }: Pick<CloseInfo, "reason" | "detail">): string {
  return printable(detail === "" ? reason : `${reason} (${detail})`);
}

/** Waits, but no longer than until the page is hidden or seen again. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    document.addEventListener("visibilitychange", end);
  });
}
