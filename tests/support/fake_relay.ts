/**
 * A client, and the other end of its connection: a server that announces the features of a relay,
 * and whose other bytes a test writes itself.
 */

import { EbsocketClient } from "../../client.ts";
import type { ClientOptions } from "../../client/options.ts";
import { FakeServer, type FakeSession, type WelcomeMembers } from "./fake_server.ts";

/** What a relay says that it can do. */
export const FEATURES: WelcomeMembers = {
  ack: true,
  features: ["subscribe", "ack", "sequence", "stats"],
};

/** A line of a client, of which a test knows what is in it. */
export interface Said {
  readonly event?: string;
  readonly control?: string;
  readonly events?: string[];
  readonly queue?: string;
  readonly id: string;
  readonly ack: string;
  readonly to?: string;
  readonly reply_to?: string;
  readonly __dict__: Record<string, unknown>;
}

/** The next line that is no keep-alive. */
export async function said(session: FakeSession): Promise<Said> {
  for (;;) {
    const line = await session.line();
    if (line === null) throw new Error("The stream has ended");
    if (line !== "") return JSON.parse(line);
  }
}

/** A client and its connection to a server, all of which end together. */
export class FakeRelay implements AsyncDisposable {
  private constructor(
    readonly server: FakeServer,
    readonly client: EbsocketClient,
    readonly session: FakeSession,
  ) {}

  /** Connects a client. */
  static async connect(
    options: ClientOptions = {},
    welcome: WelcomeMembers = FEATURES,
  ): Promise<FakeRelay> {
    const server = new FakeServer(welcome);
    const client = new EbsocketClient(options);
    await client.connectTo(server.address);
    return new FakeRelay(server, client, await server.session());
  }

  /** The next line of the client. */
  said(): Promise<Said> {
    return said(this.session);
  }

  /** Sends a line to the client. */
  say(line: object): Promise<void> {
    return this.session.send(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.abort();
    await this.server[Symbol.asyncDispose]();
  }
}
