/**
 * Owns two network namespaces with a cable between them, and what can be done to the cable. Must not
 * know what runs at its ends.
 *
 * @module
 */

/** One end of a cable. */
export interface Side {
  /** Its address. */
  readonly hostname: string;
  /** A command that runs the command that follows it there. */
  readonly through: readonly string[];
}

let made = 0;

/** Two places that only a cable connects. Disposing of it removes them. */
export class Link implements AsyncDisposable {
  readonly near: Side;
  readonly far: Side;
  readonly #names: [near: string, far: string];

  private constructor() {
    const name = `ebsockets-${Deno.pid}-${++made}`;
    this.#names = [`${name}-near`, `${name}-far`];
    this.near = { hostname: "10.97.0.1", through: into(this.#names[0]) };
    this.far = { hostname: "10.97.0.2", through: into(this.#names[1]) };
  }

  /** Lays the cable. */
  static async make(): Promise<Link> {
    await removeStale();
    const link = new Link();
    try {
      await link.#make();
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
    return link;
  }

  async #make(): Promise<void> {
    const [near, far] = this.#names;
    await ip("netns", "add", near);
    await ip("netns", "add", far);
    const ends = ["name", "cable", "netns", near, "type", "veth", "peer", "name", "cable"];
    await ip("link", "add", ...ends, "netns", far);
    for (const [name, { hostname }] of [[near, this.near], [far, this.far]] as const) {
      await ip("-n", name, "link", "set", "lo", "up");
      await ip("-n", name, "address", "add", `${hostname}/24`, "dev", "cable");
      await ip("-n", name, "link", "set", "cable", "up");
    }
  }

  /** Pulls the cable out at the far end. */
  async pull(): Promise<void> {
    await ip("-n", this.#names[1], "link", "set", "cable", "down");
  }

  /** Plugs it in again. */
  async plug(): Promise<void> {
    await ip("-n", this.#names[1], "link", "set", "cable", "up");
  }

  /** Makes it a bad one, in both directions, as `tc netem` puts it: `["loss", "1%"]`. */
  async impair(how: readonly string[]): Promise<void> {
    for (const name of this.#names) {
      await run("tc", "-n", name, "qdisc", "replace", "dev", "cable", "root", "netem", ...how);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) await ip("netns", "delete", name).catch(() => {});
  }
}

/** Why there can be no links on this machine; `null` if there can. */
export async function obstacleToLinks(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  return await obstacle(async () => {
    await using _ = await Link.make();
  });
}

/** Why links cannot be impaired on this machine; `null` if they can. */
export async function obstacleToImpairment(): Promise<string | null> {
  return await obstacleToLinks() ?? await obstacle(async () => {
    await using link = await Link.make();
    await link.impair(["delay", "1ms"]);
  });
}

async function obstacle(attempt: () => Promise<void>): Promise<string | null> {
  try {
    await attempt();
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
