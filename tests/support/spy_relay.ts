import type { BackplaneSink } from "../../cluster/backplane.ts";
import { type ClusterTerms, encodeMessage } from "../../protocol/cluster.ts";
import { utf8 } from "./bytes.ts";
import type { TestCluster } from "./cluster.ts";
import type { MemoryBackplane } from "./memory_backplane.ts";
import { until } from "./waiting.ts";

const TERMS: ClusterTerms = {
  maxLineBytes: 1_048_576,
  maxDepth: 64,
  echo: true,
  subscribeFirst: false,
  events: null,
  keepLast: [],
  keep: null,
};

/** Plays another relay for the first one of a cluster, by exact lines. */
export class SpyRelay implements BackplaneSink, AsyncDisposable {
  readonly id = "rspyspysp";
  readonly #backplane: MemoryBackplane;
  readonly #to: string;
  /** The end of the link at the relay. */
  #peer = "";
  #session = "AAAAAAAA";
  #number = 0;

  constructor({ hub, backplanes }: TestCluster) {
    this.#backplane = hub.backplane();
    this.#to = backplanes[0]!.id;
  }

  /** Comes, and waits until the relay has a link for it. */
  async join(): Promise<void> {
    await this.#backplane.join(this.id, this);
    this.announce();
    await until(() => this.#peer !== "");
  }

  /** Gives a sign of life. */
  announce(): void {
    const here = { control: "here", relay: this.id, version: 1, upMs: 0, terms: TERMS } as const;
    this.#backplane.announce(encodeMessage({ ...here, isNew: false }));
  }

  /** Sends lines over the link. */
  send(lines: string): void {
    this.#number++;
    this.#sendHead(this.#peer, lines);
  }

  /** Begins a new end of the link. */
  renew(): void {
    this.#session = "BBBBBBBB";
    this.#number = 0;
    this.#sendHead("", "");
  }

  #sendHead(peer: string, lines: string): void {
    const head = { control: "link", relay: this.id, session: this.#session, peer } as const;
    const message = encodeMessage({ ...head, number: this.#number, taken: 0 });
    this.#backplane.send(this.#to, message, utf8(lines));
  }

  /** Leaves. */
  leave(): void {
    this.#backplane.announce(encodeMessage({ control: "bye", relay: this.id, hasRest: false }));
  }

  onMessage(message: Uint8Array): void {
    const [kind, , session] = new TextDecoder().decode(message).split(/[ \n]/);
    if (kind === "link") this.#peer = session!;
  }

  onConnect(): void {}

  onDisconnect(): void {}

  onFault(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await this.#backplane.close();
  }
}
