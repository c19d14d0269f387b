import { EbsocketClient } from "../../client.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { type MemoryBackplane, MemoryHub } from "./memory_backplane.ts";
import { pause } from "./waiting.ts";

/** Some relays of one process that form a cluster. */
export class TestCluster implements AsyncDisposable {
  readonly hub = new MemoryHub();
  readonly relays: Relay[] = [];
  readonly backplanes: MemoryBackplane[] = [];
  readonly #options: RelayOptions;
  readonly #clients: EbsocketClient[] = [];

  constructor(count: number, options: RelayOptions = {}) {
    this.#options = options;
    for (let i = 0; i < count; i++) this.add();
  }

  /** Starts one more relay. Returns its number. */
  add(): number {
    const backplane = this.hub.backplane();
    const server = new EbsocketServer(["127.0.0.1", 0]);
    this.backplanes.push(backplane);
    return this.relays.push(new Relay(server, { ...this.#options, cluster: backplane })) - 1;
  }

  /** Connects a client to one of the relays, by its number. */
  async connect(relay: number, patterns?: string[], queue?: string): Promise<EbsocketClient> {
    const client = new EbsocketClient();
    this.#clients.push(client);
    await client.connectTo(this.relays[relay]!.server.address);
    if (patterns) await client.subscribe(patterns, queue === undefined ? {} : { queue });
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.relays.map((relay) => relay.close()));
    await pause(5); // until the last messages have arrived
  }
}

/** The attribute `i` of the next `count` events of a client. */
export async function numbersOf(client: EbsocketClient, count: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    numbers.push((await client.recvEvent())!.getAttribute("i") as number);
  }
  return numbers;
}

/** Nothing arrives for a client but what has arrived when `marker` has come back from `via`. */
export async function numbersUntil(client: EbsocketClient, marker: string): Promise<number[]> {
  const numbers: number[] = [];
  for (;;) {
    const event = (await client.recvEvent())!;
    if (event.event === marker) return numbers;
    numbers.push(event.getAttribute("i") as number);
  }
}
