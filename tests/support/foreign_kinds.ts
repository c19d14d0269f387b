/**
 * The libraries and browsers with which a relay must get along.
 *
 * @module
 */

import { type Browser, CHROMIUM, FIREFOX } from "./browser.ts";
import { type ForeignSocket, PageSocket, ProgramSocket } from "./foreign_socket.ts";
import { type Need, NpmPackage, program, PythonModule } from "./needs.ts";

/** A kind of WebSocket. */
export interface ForeignKind {
  readonly name: string;
  readonly needs: readonly Need[];
  /** Whether its interface can send Pings and report Pongs. */
  readonly canPing: boolean;
  /** Whether its interface reports Pings. */
  readonly seesPings: boolean;
  /**
   * Starts one.
   *
   * @param origin The address of a relay, whose page a socket of a browser is to belong to.
   * @param ca The file of the certificate to trust, if there is one. Browsers trust any.
   */
  start(origin: string, ca?: string): Promise<ForeignSocket>;
}

const folder = `${import.meta.dirname}/../web`;
const ws = new NpmPackage("ws");
const bun = new NpmPackage("bun");
const websockets = new PythonModule("websockets");
const autobahn = new PythonModule("autobahn.asyncio");

function programKind(
  name: string,
  needs: readonly Need[],
  command: string,
  args: string[],
  { canPing = false, seesPings = false } = {},
): ForeignKind {
  const start: ForeignKind["start"] = (_, ca) =>
    Promise.resolve(new ProgramSocket(command, args, ca));
  return { name, needs, canPing, seesPings, start };
}

function browserKind(browser: Browser): ForeignKind {
  return {
    name: browser.name,
    needs: browser.needs,
    canPing: false,
    seesPings: false,
    async start(origin) {
      const page = await browser.open();
      // Of what a relay serves, this does not connect by itself.
      await page.goTo(`${origin}healthz`);
      return new PageSocket(page);
    },
  };
}

/** `ws` of npm. */
export const WS: ForeignKind = programKind(
  "ws",
  [program("node"), ws],
  "node",
  [`${folder}/socket_program.mjs`, "ws"],
  { canPing: true, seesPings: true },
);

/** Chromium, in a page of the relay. */
export const CHROMIUM_SOCKET: ForeignKind = browserKind(CHROMIUM);

/** All of them. */
export const FOREIGN_KINDS: readonly ForeignKind[] = [
  CHROMIUM_SOCKET,
  browserKind(FIREFOX),
  WS,
  programKind(
    "Node's WebSocket",
    [program("node", ["--experimental-websocket", "--version"])],
    "node",
    [
      "--experimental-websocket",
      `${folder}/socket_program.mjs`,
    ],
  ),
  programKind("Bun's WebSocket", [bun], bun.program, [`${folder}/socket_program.mjs`]),
  programKind(
    "websockets of Python",
    [websockets],
    websockets.python,
    [`${folder}/websockets_program.py`],
    { canPing: true },
  ),
  programKind("Autobahn", [autobahn], autobahn.python, [`${folder}/autobahn_program.py`], {
    canPing: true,
    seesPings: true,
  }),
];
