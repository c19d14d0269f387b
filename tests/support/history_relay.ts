/** A client with the option `history`, and a relay that keeps events as a test tells it to. */

import { EbsocketClient } from "../../client.ts";
import type { ClientOptions } from "../../client/options.ts";
import type { ResumedStatus } from "../../client/status.ts";
import { type Said, said } from "./fake_relay.ts";
import { FakeServer, type FakeSession, type WelcomeMembers } from "./fake_server.ts";

/** A line of a client that may ask for kept events. */
export interface Asked extends Said {
  readonly since?: object;
  readonly partial?: boolean | "last";
  readonly live?: boolean;
}

/** The members of a welcome about a history that ends at an offset. */
export function keeping(offset: number, epoch = "e1"): WelcomeMembers {
  return {
    features: ["subscribe", "ack", "sequence", "stats", "history"],
    history: { epoch, first: 1, offset, kept: [">"] },
  };
}

/** A client and its relay, whose history ends at the offset 100 at first. */
export class HistoryRelay implements AsyncDisposable {
  readonly server = new FakeServer(keeping(100));
  readonly client: EbsocketClient;
  session!: FakeSession;
  /** Resolves when `connectTo()` does. */
  connecting: Promise<void> = Promise.resolve();

  constructor(options: ClientOptions = {}) {
    const reconnect = { minDelay: 1, maxDelay: 1 };
    this.client = new EbsocketClient({ history: true, reconnect, ...options });
  }

  /** Begins to connect, up to the welcome. */
  async start(): Promise<void> {
    this.connecting = this.client.connectTo(this.server.address);
    this.connecting.catch(() => {});
    this.session = await this.server.session();
  }

  /** Connects a client that may have subscriptions, and grants them. */
  static async connect(
    options: ClientOptions = {},
    prepare: (client: EbsocketClient) => unknown = () => {},
  ): Promise<HistoryRelay> {
    const relay = new HistoryRelay(options);
    await prepare(relay.client);
    await relay.start();
    await relay.grant(await relay.asked());
    await relay.connecting;
    return relay;
  }

  /** The next line of the client. */
  async asked(): Promise<Asked> {
    return await said(this.session) as Asked;
  }

  /** The next line of the client, without its ID. */
  async line(): Promise<Omit<Asked, "id">> {
    const { id: _, ...line } = await this.asked();
    return line as Omit<Asked, "id">;
  }

  /** Grants a line, with an answer about the history if there is one. */
  async grant({ id }: { id: string }, history?: object): Promise<void> {
    const answer = history && { history: { epoch: "e1", ...history } };
    await this.say({ control: "ack", id, ...answer });
  }

  /** Sends a control line. */
  say(line: object): Promise<void> {
    return this.session.send(line);
  }

  /** Sends kept events of a name, in one write. */
  async keep(event: string, ...offsets: number[]): Promise<void> {
    const lines = offsets.map((offset) => `${JSON.stringify({ offset, event })}\n`);
    await this.session.write(lines.join(""));
  }

  /** Breaks the connection, and waits for the next one. Its relay has such a welcome. */
  async cut(welcome: WelcomeMembers = keeping(100)): Promise<void> {
    this.server.welcome = welcome;
    await this.session.close();
    this.session = await this.server.session();
  }

  /** The offsets of the next `count` events that the program receives. */
  async offsets(count: number): Promise<(number | null)[]> {
    const offsets: (number | null)[] = [];
    while (offsets.length < count) offsets.push((await this.client.recvEvent())!.offset);
    return offsets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.abort();
    await this.server[Symbol.asyncDispose]();
  }
}

/** The next status about a resumption. */
export async function resumed(client: EbsocketClient): Promise<ResumedStatus> {
  for await (const status of client.status()) if (status.type === "resumed") return status;
  throw new Error("The client has ended");
}
