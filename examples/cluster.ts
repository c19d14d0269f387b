// A cluster on one machine: nats-server, relays that are joined by it, and haproxy, which spreads
// the clients over them.
//
//     deno run --allow-run examples/cluster.ts 2
//
// The number is that of the relays, of which each uses up to one core. Clients connect to port 7982,
// and pages are there, too. Ctrl+C ends everything, the relays first.

const PORT = 7982;
const NATS_PORT = 4222;
const count = Number(Deno.args[0] ?? navigator.hardwareConcurrency);
const ports = Array.from({ length: count }, (_, i) => PORT + 1 + i);

const HAPROXY = `
defaults
  mode tcp
  option redispatch 1
  timeout connect 1s
  timeout client 1h
  timeout server 1h
listen relays
  bind 127.0.0.1:${PORT}
  balance leastconn
  option httpchk GET /healthz
  http-check send hdr Host localhost
${ports.map((port) => `  server r${port} 127.0.0.1:${port} check inter 1s`).join("\n")}
`;

const relays: Deno.ChildProcess[] = [];
const others: Deno.ChildProcess[] = [];

/** Starts a program out of reach of the terminal, so that Ctrl+C is left to this one. */
function start(program: string, args: string[], stderr: "inherit" | "piped" = "inherit") {
  return new Deno.Command(program, { args, stdin: "piped", stderr, detached: true }).spawn();
}

/** Ends programs, and waits until they have ended. */
async function end(children: readonly Deno.ChildProcess[]): Promise<void> {
  for (const child of children) {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
  }
  await Promise.all(children.map((child) => child.status));
}

/** Starts NATS, and waits until relays can join. */
async function startNats(): Promise<void> {
  const nats = start("nats-server", ["--net", "127.0.0.1", "--port", `${NATS_PORT}`], "piped");
  others.push(nats);
  const [log, copy] = nats.stderr.tee();
  log.pipeTo(Deno.stderr.writable, { preventClose: true });
  for await (const text of copy.pipeThrough(new TextDecoderStream())) {
    if (text.includes("Server is ready")) return;
  }
  throw new Error("nats-server has ended");
}

async function startProxy(): Promise<void> {
  const proxy = start("haproxy", ["-db", "-f", "/dev/stdin"]);
  others.push(proxy);
  await ReadableStream.from([HAPROXY]).pipeThrough(new TextEncoderStream()).pipeTo(proxy.stdin);
}

const interrupted = new Promise<void>((resolve) =>
  Deno.addSignalListener("SIGINT", () => resolve())
);
try {
  await startNats();
  const relay = ["run", "-A", import.meta.resolve("@ebsockets/relay")];
  for (const port of ports) {
    relays.push(
      start(Deno.execPath(), [
        ...relay,
        "--port",
        `${port}`,
        "--cluster",
        `nats://127.0.0.1:${NATS_PORT}`,
      ]),
    );
  }
  await startProxy();
  console.log(`Starting ${count} relays: connect to 127.0.0.1:${PORT}; Ctrl+C ends all`);
  const failures = [...relays, ...others].map(async (child) => {
    throw new Error(`A program has ended by itself, with code ${(await child.status).code}`);
  });
  await Promise.race([interrupted, ...failures]);
} finally {
  await end(relays);
  await end(others);
}
Deno.exit();
