/**
 * The servers that are compared: how each is found, built and started, and its protocol.
 *
 * @module
 */

import { mqtt, nats, redis } from "./broker_wires.ts";
import type { ProcessCommand } from "./measured_process.ts";
import { compile, INSTALL_COMPILER, output } from "./programs.ts";
import { relayWebsocket, socketIo, websocket } from "./websocket_wires.ts";
import { lines, relayLines, type Wire } from "./wire.ts";

const BENCH = import.meta.dirname!;
const ROOT = Deno.realPathSync(`${BENCH}/..`);

/** Installed for this benchmark alone, and used by nothing else. */
const PACKAGES = {
  "ws": "8.23.0",
  "socket.io": "4.8.4",
  "socket.io-client": "4.8.4",
  "bun": "1.4.5",
  "@nats-io/transport-node": "3.4.0",
  "mqtt": "5.16.0",
};

const NPM = "apt-get install npm";
const NODE = "apt-get install nodejs npm";

/**
 * What a client library is used for: events from one to another, in programs or in pages of a browser,
 * or requests and answers.
 */
export type LibraryUse = "events" | "pages" | "requests";

/** The programs that use a library. */
const PROGRAMS: Record<LibraryUse, string> = {
  events: `${BENCH}/clients/event_program.mjs`,
  pages: `${BENCH}/clients/browser_program.mjs`,
  requests: `${BENCH}/clients/request_program.mjs`,
};

/** A server to compare with. */
export interface Peer {
  readonly name: string;
  /** What it is, and the settings that matter. */
  readonly about: string;
  readonly wire: Wire;
  /** What to do to have it here. */
  readonly install: string;
  /** The version that is here, ready to be started; `null` if it is not here. */
  prepare(folder: string): Promise<string | null>;
  /** The client libraries that its users take, if it has some of its own; one for each use. */
  readonly libraries?: readonly Library[];
  /** How to start it, `echo` if clients are to get their own events too. */
  command(folder: string, port: number, echo: boolean): ProcessCommand;
}

/** A client library, and programs that use it. */
export interface Library {
  readonly name: string;
  /** What to do to have it here. */
  readonly install: string;
  /** The version that is here; `null` if it is not here. */
  prepare(folder: string): Promise<string | null>;
  /** What it can be used for. */
  readonly uses: readonly LibraryUse[];
  /** How to start the program that uses it so. */
  command(use: LibraryUse, folder: string, args: readonly string[]): ProcessCommand;
}

/** The servers, the most basic one first. */
export const PEERS: readonly Peer[] = [
  {
    name: "copier",
    about: "copies bytes from each socket to all others, in C: the limit",
    wire: lines,
    install: INSTALL_COMPILER,
    prepare: (folder) => compile(folder, "copier"),
    command: (folder, port, echo) => ({
      program: `${folder}/copier`,
      args: [`${port}`, ...echo ? ["echo"] : []],
    }),
  },
  {
    name: "ebsockets",
    about: "this relay, as its command starts it, without a log",
    wire: relayLines,
    install: "",
    prepare: () => Promise.resolve(`Deno ${Deno.version.deno}`),
    command: (_, port, echo) => relayCommand(ROOT, port, echo),
    libraries: [ownLibrary("EbsocketClient", "ebsockets.mjs")],
  },
  {
    name: "ebsockets-ws",
    about: "the same relay, and all its clients over WebSocket",
    wire: relayWebsocket,
    install: "",
    prepare: () => Promise.resolve(`Deno ${Deno.version.deno}`),
    command: (_, port, echo) => relayCommand(ROOT, port, echo),
    libraries: [
      ownLibrary("EbsocketClient over WebSocket", "ebsockets_ws.mjs"),
      pageLibrary("EbsocketClient from /client.js", "ebsockets_page.mjs"),
    ],
  },
  {
    name: "nats-server",
    about: "defaults",
    wire: nats,
    install: "apt-get install nats-server",
    prepare: async () => lastWord(await output("nats-server", "--version")),
    command: (_, port) => ({ program: "nats-server", args: ["-a", "127.0.0.1", "-p", `${port}`] }),
    libraries: [nodeLibrary("@nats-io/transport-node", "nats.mjs", ["events", "requests"])],
  },
  {
    name: "redis",
    about: "without persistence, maxclients 12000",
    wire: redis,
    install: "apt-get install redis-server",
    prepare: async () =>
      /v=(\S+)/.exec(await output("redis-server", "--version") ?? "")?.[1] ?? null,
    command: (folder, port) => ({
      program: "redis-server",
      args: flags({
        bind: "127.0.0.1",
        port: `${port}`,
        save: "",
        appendonly: "no",
        maxclients: "12000",
        "tcp-backlog": "4096",
      }),
      cwd: folder,
    }),
  },
  {
    name: "mosquitto",
    about: "QoS 0, max_queued_messages 0 (so that none is dropped), set_tcp_nodelay",
    wire: mqtt,
    install: "apt-get install mosquitto",
    async prepare() {
      return /version (\S+)/.exec(await output("mosquitto", "-h") ?? "")?.[1] ?? null;
    },
    command(folder, port) {
      const path = `${folder}/mosquitto-${port}.conf`;
      Deno.writeTextFileSync(path, `${MOSQUITTO.join("\n")}\nlistener ${port} 127.0.0.1\n`);
      return { program: "mosquitto", args: ["-c", path] };
    },
    libraries: [nodeLibrary("mqtt", "mqtt.mjs")],
  },
  {
    name: "ws",
    about: "on Node, every message passed on with send()",
    wire: websocket,
    install: NODE,
    prepare: (folder) => prepareNode(folder, "ws"),
    command: (folder, port, echo) => nodeCommand("ws_server.mjs", folder, port, echo),
  },
  {
    name: "socket.io",
    about: "on Node, WebSocket only, every event passed on with emit()",
    wire: socketIo,
    install: NODE,
    prepare: (folder) => prepareNode(folder, "socket.io"),
    command: (folder, port, echo) => nodeCommand("socketio_server.mjs", folder, port, echo),
    libraries: [
      nodeLibrary("socket.io-client", "socketio.mjs", ["events", "requests"]),
      pageLibrary("socket.io-client from its server", "socketio_page.mjs"),
    ],
  },
  {
    name: "bun",
    about: "WebSocket of Bun (uWebSockets, C++), every message passed on with publish()",
    wire: websocket,
    install: NPM,
    prepare: async (folder) => {
      if (!await installPackage(folder, "bun")) return null;
      return (await output(bunOf(folder), "--version"))?.trim() ?? null;
    },
    command: (folder, port, echo) => ({
      program: bunOf(folder),
      args: [`${BENCH}/bun_server.mjs`, `${port}`, ...echo ? ["echo"] : []],
    }),
  },
  {
    name: "deno",
    about: "WebSocket of Deno (Deno.upgradeWebSocket), every message passed on with send()",
    wire: websocket,
    install: "",
    prepare: () => Promise.resolve(`Deno ${Deno.version.deno}`),
    command: (_, port, echo) => ({
      program: Deno.execPath(),
      args: ["run", "--allow-net", `${BENCH}/deno_server.mjs`, `${port}`, ...echo ? ["echo"] : []],
    }),
  },
];

const MOSQUITTO = [
  "allow_anonymous true",
  "max_queued_messages 0",
  "set_tcp_nodelay true",
  "persistence false",
  "log_type none",
];

/** The relay of the checkout in `root`. */
export function relayCommand(
  root: string,
  port: number,
  echo: boolean,
  flags: readonly string[] = [],
): ProcessCommand {
  const args = ["run", "--allow-net", "mod.ts", "--port", `${port}`, "--log", "quiet", ...flags];
  return { program: Deno.execPath(), args: [...args, ...echo ? [] : ["--no-echo"]], cwd: root };
}

function flags(options: Record<string, string>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}

/** Our client, and the file of `clients` that uses it. */
function ownLibrary(name: string, file: string): Library {
  return {
    name,
    install: "",
    prepare: () => Promise.resolve(`Deno ${Deno.version.deno}`),
    uses: ["events", "requests"],
    command: (use, folder, args) => ({
      program: Deno.execPath(),
      args: ["run", "-A", PROGRAMS[use], file, folder, ...args],
      cwd: ROOT,
    }),
  };
}

/** The library in package `name`, and the file of `clients` that uses it. */
function nodeLibrary(
  name: keyof typeof PACKAGES,
  file: string,
  uses: readonly LibraryUse[] = ["events"],
): Library {
  return {
    name,
    install: NODE,
    prepare: (folder) => prepareNode(folder, name),
    uses,
    command: (use, folder, args) => ({
      program: "node",
      args: [PROGRAMS[use], file, folder, ...args],
    }),
  };
}

/** A library that the server gives to its pages, and the file of `clients` that uses it there. */
function pageLibrary(name: string, file: string): Library {
  return {
    name,
    install: "apt-get install chromium",
    async prepare() {
      const version = /\d[\d.]+/.exec(await output("chromium", "--version") ?? "")?.[0];
      return version === undefined ? null : `Chromium ${version}`;
    },
    uses: ["pages"],
    command: (use, folder, args) => ({
      program: Deno.execPath(),
      args: ["run", "-A", PROGRAMS[use], file, folder, ...args],
      measured: / --type=renderer /,
    }),
  };
}

function nodeCommand(
  script: string,
  folder: string,
  port: number,
  echo: boolean,
): ProcessCommand {
  const args = [`${BENCH}/${script}`, folder, `${port}`, ...echo ? ["echo"] : []];
  return { program: "node", args };
}

/** Installs a package into `folder`, and returns its version; `null` if there is no Node, or no npm. */
async function prepareNode(folder: string, name: keyof typeof PACKAGES): Promise<string | null> {
  const node = await output("node", "--version");
  if (node === null || !await installPackage(folder, name)) return null;
  return `${PACKAGES[name]} on Node ${node.trim().slice(1)}`;
}

/** Installs a package into `folder`; `false` if there is no npm. */
async function installPackage(folder: string, name: keyof typeof PACKAGES): Promise<boolean> {
  const pinned = `${name}@${PACKAGES[name]}`;
  return await output("npm", "install", "--prefix", folder, "--silent", pinned) !== null;
}

function bunOf(folder: string): string {
  return `${folder}/node_modules/.bin/bun`;
}

function lastWord(text: string | null): string | null {
  return text?.trim().split(/\s+/).at(-1) ?? null;
}
