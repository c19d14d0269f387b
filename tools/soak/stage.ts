/**
 * The participants of a soak: the relay, fleets of clients, strangers, and, where root can make
 * one, a cable between them.
 *
 * @module
 */

import { Fleet } from "../../tests/faults/fleet.ts";
import { launch, type LaunchOptions } from "../../tests/faults/launch.ts";
import { Ledger } from "../../tests/faults/ledger.ts";
import { Link, obstacleToLinks } from "../../tests/faults/link.ts";
import { RelayProcess } from "../../tests/faults/relay_process.ts";
import { Program } from "../../tests/support/process.ts";

const CLIENTS = 10;

/**
 * V8 lets its young generation grow in steps, up to tens of MB late in a soak, and with it what is dead
 * outside of the heap: no leak, and too much to see one behind it. Kept at its smallest, memory is flat.
 */
const FLAGS = ["-A", "--v8-flags=--max-semi-space-size=1"];

/** How many of the clients of a fleet publish, and how many events a second each. */
const PUBLISHERS = 3;
const PER_SECOND = 10;

/** Everyone who takes part. Disposing of it ends them all. */
export class Stage implements AsyncDisposable {
  readonly ledger = new Ledger();
  /** The fleets that are to be there in the end. */
  readonly fleets: Fleet[] = [];
  readonly #stack: AsyncDisposableStack;
  #strangers: Program | null = null;

  private constructor(
    readonly relay: RelayProcess,
    /** The cable to the fleet that is called `far`, or why there is none. */
    readonly cable: Link | string,
    stack: AsyncDisposableStack,
  ) {
    this.#stack = stack;
  }

  /** Starts the relay and those fleets that are there all the time; resolves when all are in. */
  static async set(): Promise<Stage> {
    await using stack = new AsyncDisposableStack();
    const obstacle = await obstacleToLinks();
    const cable = obstacle ?? stack.use(await Link.make());
    const relay = stack.use(
      await RelayProcess.start({ ...(typeof cable === "string" ? {} : cable.near), flags: FLAGS }),
    );
    const stage = new Stage(relay, cable, stack.move());
    try {
      stage.steady = stage.#fleet("steady", { padding: 200 });
      stage.freezing = stage.#fleet("freezing");
      stage.napping = stage.#fleet("napping", { clients: 1, publishers: 1 });
      stage.far = typeof cable === "string" ? null : stage.#fleet("far", {}, cable.far);
      await Promise.all(stage.fleets.map((fleet) => fleet.joins()));
      stage.#callStrangers();
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** One to which nothing is done but what befalls the relay. */
  steady!: Fleet;
  /** One that is frozen for moments. */
  freezing!: Fleet;
  /** One that is frozen until the relay takes it for dead. */
  napping!: Fleet;
  /** One beyond the cable, if there is one. */
  far: Fleet | null = null;

  /** A fleet that comes to be killed. */
  victim(name: string): Fleet {
    return this.#stack.use(new Fleet(this.#plan(name), this.ledger, this.#near));
  }

  /** What the strangers have complained about. */
  get complaints(): string {
    return this.#strangers?.stderr ?? "";
  }

  /** Sends the strangers away. */
  async dismissStrangers(): Promise<void> {
    await this.#strangers?.[Symbol.asyncDispose]();
  }

  #fleet(name: string, changes = {}, where = this.#near): Fleet {
    const options = { ...where, flags: FLAGS };
    const fleet = new Fleet({ ...this.#plan(name), ...changes }, this.ledger, options);
    this.fleets.push(this.#stack.use(fleet));
    return fleet;
  }

  #plan(name: string) {
    const { address } = this.relay;
    return { name, address, clients: CLIENTS, publishers: PUBLISHERS, perSecond: PER_SECOND };
  }

  #callStrangers(): void {
    const args = [JSON.stringify(this.relay.address)];
    this.#strangers = this.#stack.use(
      new Program(...launch("tools/soak/strangers.ts", args, this.#near)),
    );
  }

  /** Where all are but those beyond the cable. */
  get #near(): LaunchOptions {
    return typeof this.cable === "string" ? {} : this.cable.near;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
