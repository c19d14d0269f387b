/**
 * Two network namespaces with a cable between them, and the faults of the cable.
 *
 * @module
 */

import { type Need, needingTest } from "../support/needs.ts";
import { Program } from "../support/process.ts";
import { launch } from "./launch.ts";

/** What is wrong with a cable, in each direction. */
export interface Impairment {
  /** How long packets take, in milliseconds. */
  readonly delay: number;
  /** By how much more or less, each on its own, so that they overtake one another. */
  readonly jitter: number;
  /** How many packets get lost, in percent. */
  readonly loss: number;
}

/** One end of a cable. */
export interface Side {
  /** Its address. */
  readonly hostname: string;
  /** A command that runs the command that follows it there. */
  readonly through: readonly string[];
}

/** A link over a bad radio, say. */
export const BAD_LINK: Impairment = { delay: 40, jitter: 30, loss: 3 };

/** What the device at each end is called. */
const CABLE = "cable";

/** Two places that only a cable connects. Disposing of it removes them. */
export class Link implements AsyncDisposable {
  readonly near: Side;
  readonly far: Side;
  /** Tests run at the same time in one process, each file with its own modules. */
  readonly #id = crypto.randomUUID().slice(0, 6);
  readonly #names: [near: string, far: string];
  /** What passes packets on, if the kernel cannot do it badly. */
  #badCable: Program | null = null;

  private constructor() {
    const name = `ebsockets-${Deno.pid}-${this.#id}`;
    this.#names = [`${name}-near`, `${name}-far`];
    this.near = { hostname: "10.97.0.1", through: into(this.#names[0]) };
    this.far = { hostname: "10.97.0.2", through: into(this.#names[1]) };
  }

  /** Lays the cable: a good one, or one with an impairment. */
  static async make(impairment?: Impairment): Promise<Link> {
    await removeStale();
    const link = new Link();
    try {
      await link.#make(impairment);
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
    return link;
  }

  async #make(impairment?: Impairment): Promise<void> {
    const [near, far] = this.#names;
    await ip("netns", "add", near);
    await ip("netns", "add", far);
    await this.#layCable();
    if (impairment) await this.#impair(impairment);
    for (const [name, { hostname }] of [[near, this.near], [far, this.far]] as const) {
      await ip("-n", name, "link", "set", "lo", "up");
      await ip("-n", name, "address", "add", `${hostname}/24`, "dev", CABLE);
      await ip("-n", name, "link", "set", CABLE, "up");
    }
  }

  async #layCable(): Promise<void> {
    const [near, far] = this.#names;
    const peer = ["type", "veth", "peer", "name", CABLE, "netns", far];
    await ip("link", "add", "name", CABLE, "netns", near, ...peer);
  }

  async #impair({ delay, jitter, loss }: Impairment): Promise<void> {
    const how = ["delay", `${delay}ms`, `${jitter}ms`, "loss", `${loss}%`];
    try {
      for (const name of this.#names) {
        await run("tc", "-n", name, "qdisc", "add", "dev", CABLE, "root", "netem", ...how);
      }
    } catch {
      await ip("-n", this.#names[0], "link", "delete", CABLE);
      await this.#layInUserSpace({ delay, jitter, loss });
    }
  }

  /** For kernels without `netem`. */
  async #layInUserSpace({ delay, jitter, loss }: Impairment): Promise<void> {
    const devices = ["near", "far"].map((side) => `ebs${this.#id}${side}`);
    const how = [...devices, `${delay}`, `${jitter}`, `${loss}`];
    this.#badCable = new Program(...launch("tests/faults/bad_cable_program.ts", how));
    await this.#badCable.expect(/ready\n/);
    for (const [i, device] of devices.entries()) {
      await ip("link", "set", device, "netns", this.#names[i]!, "name", CABLE);
    }
  }

  /** Pulls the cable out at the far end. */
  async pull(): Promise<void> {
    await ip("-n", this.#names[1], "link", "set", CABLE, "down");
  }

  /** Plugs it in again. */
  async plug(): Promise<void> {
    await ip("-n", this.#names[1], "link", "set", CABLE, "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#badCable?.[Symbol.asyncDispose]();
    for (const name of this.#names) await ip("netns", "delete", name).catch(() => {});
  }
}

/** In CI, root on Linux must be able to make links: a test that cannot then fails. */
const isDemanded = Deno.env.get("CI") === "true" && Deno.build.os === "linux" && Deno.uid() === 0;

/** What is said of a kernel that was built without such devices, which nobody can mend. */
const LACKS = /Unknown device type|\/dev\/net\/tun/;

/**
 * A test that needs links, and perhaps more. Where there can be none, its name says why it is left
 * out.
 */
export async function linkTest(
  name: string,
  { impairment, needs = [] }: { impairment?: Impairment; needs?: readonly Need[] },
  fn: (link: Link) => Promise<void>,
): Promise<void> {
  const obstacle = await obstacleToLinks(impairment);
  const run = async () => {
    await using link = await Link.make(impairment);
    await fn(link);
  };
  if (obstacle === null || isDemanded && !LACKS.test(obstacle)) needingTest(name, needs, run);
  else Deno.test.ignore(`${name} (left out: ${obstacle})`, run);
}

/** Why there can be no such links on this machine; `null` if there can. */
export async function obstacleToLinks(impairment?: Impairment): Promise<string | null> {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  try {
    await using _ = await Link.make(impairment);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Removes what test runs have left behind that were killed. */
async function removeStale(): Promise<void> {
  for (const [name, pid] of (await ip("netns", "list")).matchAll(/^ebsockets-(\d+)-\S+/gm)) {
    const isRunning = await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
    if (!isRunning) await ip("netns", "delete", name).catch(() => {});
  }
}

function into(name: string): string[] {
  return ["ip", "netns", "exec", name];
}

function ip(...args: string[]): Promise<string> {
  return run("ip", ...args);
}

async function run(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`${command} ${args.join(" ")}: ${decoder.decode(stderr).trim()}`);
}
