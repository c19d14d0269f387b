/**
 * The servers that keep events, and how a publisher is told that they have them.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { mqttConnect, mqttPublish, mqttSubscribe, resp } from "./broker_wires.ts";
import type { ProcessCommand } from "./measured_process.ts";
import { relayCommand } from "./peers_list.ts";
import { output } from "./programs.ts";
import { bytesOf, expectBytes, readUntil, type Socket, writeAll } from "./wire.ts";

const ROOT = Deno.realPathSync(`${import.meta.dirname!}/..`);

/** A server that keeps events. */
export interface Keeper {
  readonly name: string;
  /** What to do to have it here. */
  readonly install: string;
  /** The version that is here; `null` if it is not here. */
  prepare(): Promise<string | null>;
  /** How to start it, with its log in `folder`. */
  command(folder: string, port: number): ProcessCommand;
  /** Says what a publisher must say, and waits for the answer. */
  join(connection: Socket, port: number): Promise<void>;
  /** The bytes that publish event number `index`. */
  publish(event: Uint8Array, index: number): Uint8Array<ArrayBuffer>;
  /** Returns a function that takes what the publisher receives, and returns how many events are kept. */
  counter(): (chunk: Uint8Array) => number;
}

/** Our relay with such flags. The publisher does not receive its own events. */
export function relayKeeping(name: string, flags: readonly string[]): Keeper {
  return {
    name,
    install: "",
    prepare: () => Promise.resolve(`Deno ${Deno.version.deno}`),
    command: (folder, port) => {
      const own = flags.map((flag) => flag.replace("FOLDER", folder));
      const { args, ...rest } = relayCommand(ROOT, port, false, own);
      // Deno asks for rights to the folder that the relay keeps its log in.
      return { ...rest, args: args.flatMap((arg) => arg === "--allow-net" ? RIGHTS : [arg]) };
    },
    async join(connection) {
      await writeAll(connection, bytesOf('{"control":"hello","ack":true}\n'));
      await readUntil(connection, (text) => text.endsWith("\n"));
    },
    publish: (event) => concat([event, bytesOf("\n")]),
    counter: ackCounter,
  };
}

const RIGHTS = ["--allow-net", "--allow-read", "--allow-write"];

/** Finds the count in the last whole line of acknowledgement. */
function ackCounter(): (chunk: Uint8Array) => number {
  const decoder = new TextDecoder();
  let rest = "";
  let count = 0;
  return (chunk) => {
    const text = rest + decoder.decode(chunk);
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    const last = text.slice(0, end).matchAll(/"ack","events":(\d+)/g).toArray().at(-1);
    if (last) count = Number(last[1]);
    return count;
  };
}

/** Counts the bytes of a value: each acknowledgement has one. */
function byteCounter(byte: string): () => (chunk: Uint8Array) => number {
  const value = byte.charCodeAt(0);
  return () => {
    let count = 0;
    return (chunk) => {
      for (const each of chunk) if (each === value) count++;
      return count;
    };
  };
}

const SUBJECT = "kept";

/** JetStream acknowledges each message to the subject that it names for the answer. */
function jetStream(name: string, config: string, since: string): Keeper {
  return {
    name,
    install: `needs nats-server ${since} or later`,
    async prepare() {
      const version = /v(\d+\.\d+)\S*/.exec(await output("nats-server", "--version") ?? "");
      if (!version) return null;
      const isOlder = Number(version[1]!.split(".")[1]) < Number(since.split(".")[1]);
      return isOlder && version[1]!.startsWith("2.") ? null : version[0];
    },
    command(folder, port) {
      const path = `${folder}/nats.conf`;
      Deno.writeTextFileSync(path, `jetstream { store_dir: "${folder}/js"${config} }\n`);
      return { program: "nats-server", args: ["-c", path, "-a", "127.0.0.1", "-p", `${port}`] };
    },
    async join(connection) {
      const stream = JSON.stringify({ name: "KEPT", subjects: [SUBJECT], storage: "file" });
      const create = `PUB $JS.API.STREAM.CREATE.KEPT answer ${stream.length}\r\n${stream}\r\n`;
      const hello = 'CONNECT {"verbose":false,"pedantic":false}\r\n';
      await writeAll(connection, bytesOf(`${hello}SUB answer 1\r\n${create}`));
      await readUntil(connection, (text) => /stream_create_response.*\r\n$/.test(text));
    },
    publish: (event) =>
      concat([bytesOf(`PUB ${SUBJECT} answer ${event.length}\r\n`), event, bytesOf("\r\n")]),
    counter: byteCounter("{"),
  };
}

/** A stream of Redis; each entry is answered with its ID. */
function redisStream(policy: "everysec" | "always"): Keeper {
  return {
    name: `redis, stream, appendfsync ${policy}`,
    install: "apt-get install redis-server",
    prepare: async () =>
      /v=(\S+)/.exec(await output("redis-server", "--version") ?? "")?.[1] ?? null,
    command: (folder, port) => ({
      program: "redis-server",
      args: [
        ...["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--dir", folder],
        ...["--appendonly", "yes", "--appendfsync", policy],
      ],
    }),
    join: () => Promise.resolve(),
    publish: (event) => resp("XADD", SUBJECT, "*", "e", event),
    counter: byteCounter("$"),
  };
}

/** Messages with QoS 1, queued for a client that is away. An acknowledgement is four bytes. */
const MOSQUITTO: Keeper = {
  name: "mosquitto, QoS 1, for a client that is away",
  install: "apt-get install mosquitto",
  async prepare() {
    return /version (\S+)/.exec(await output("mosquitto", "-h") ?? "")?.[1] ?? null;
  },
  command(folder, port) {
    const path = `${folder}/mosquitto.conf`;
    const lines = [
      "allow_anonymous true",
      "max_queued_messages 0",
      "set_tcp_nodelay true",
      "persistence true",
      `persistence_location ${folder}/`,
      "user root",
      "log_type none",
      `listener ${port} 127.0.0.1`,
    ];
    Deno.writeTextFileSync(path, `${lines.join("\n")}\n`);
    return { program: "mosquitto", args: ["-c", path] };
  },
  async join(connection, port) {
    using away = await Deno.connect({ hostname: "127.0.0.1", port });
    await writeAll(away, mqttConnect("away", false));
    await expectBytes(away, "\x20\x02\x00\x00");
    await writeAll(away, mqttSubscribe(SUBJECT, 1));
    await expectBytes(away, "\x90\x03\x00\x01\x01");
    await writeAll(connection, mqttConnect("publisher", true));
    await expectBytes(connection, "\x20\x02\x00\x00");
  },
  publish: (event, index) => mqttPublish(SUBJECT, event, 1 + index % 65_535),
  counter() {
    let bytes = 0;
    return (chunk) => Math.floor((bytes += chunk.length) / 4);
  },
};

/** The servers, ours first. */
export const KEEPERS: readonly Keeper[] = [
  relayKeeping("this relay, without history", []),
  relayKeeping("this relay, in memory", ["--history", "memory"]),
  relayKeeping("this relay, --history-sync never", onDisk("never")),
  relayKeeping("this relay, --history-sync ack", onDisk("ack")),
  relayKeeping("this relay, --history-sync always", onDisk("always")),
  jetStream("JetStream, file", "", "2.9"),
  jetStream("JetStream, file, sync_interval always", ", sync_interval: always", "2.10"),
  redisStream("everysec"),
  redisStream("always"),
  MOSQUITTO,
];

function onDisk(sync: string): string[] {
  return ["--history", "FOLDER/log", "--history-sync", sync];
}
