import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertNotMatch } from "@std/assert/not-match";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import { parseFlags } from "../../cli/flags.ts";
import {
  RELAY_GROUPS,
  type RelaySettings,
  toRelaySettings,
  withTermFlags,
} from "../../cli/relay_flags.ts";

const FLAGS = RELAY_GROUPS.flatMap(({ flags }) => [...flags]);

function settingsOf(
  args: string[],
  environmentToken?: string,
  environmentCluster?: string,
): RelaySettings {
  return toRelaySettings(parseFlags(args, FLAGS).values, environmentToken, environmentCluster);
}

Deno.test("toRelaySettings() without arguments asks for a relay on the usual port, and for no limits", () => {
  assertEquals(settingsOf([]), {
    where: { hostname: "127.0.0.1", port: 7982 },
    token: null,
    tls: null,
    schema: null,
    options: {
      echo: true,
      subscribeFirst: false,
      inspect: true,
      web: { origins: [], hosts: [], metricsOpen: false },
    },
    cluster: null,
    log: "text",
    statsSeconds: null,
  });
});

Deno.test("toRelaySettings() turns every flag into its option", () => {
  const args = "--host ::1 --port 0 --token-file t --tls-cert c --tls-key k --tls-client-ca a " +
    "--no-echo --max-line-bytes 1 --max-pending-bytes 2 --max-total-pending-bytes 3 " +
    "--max-clients 4 --max-clients-per-address 5 --rate 6 --rate-bytes 7 --max-hold 8 " +
    "--keep-alive 9 --write-timeout 10 --line-timeout 11 --retry-after 12 --log json --stats 13 " +
    "--max-subscriptions 14 --max-total-subscriptions 15 --subscribe-first --no-inspect --schema s " +
    "--max-batch-delay 16 --web --web-origin http://o --web-origin null --web-host h --metrics-open " +
    "--cluster nats://a,tls://b:1 --cluster-name n --cluster-creds d --cluster-ca e " +
    "--cluster-cert f --cluster-key g --cluster-loss stop";
  const keeping =
    "--history log --history-sync never --keep a --keep b.> --keep-age 17 --keep-bytes 1048576 " +
    "--keep-count 18 --keep-last c";
  const settings = settingsOf(args.split(" "));
  assertEquals(settings as unknown, {
    where: { hostname: "::1", port: 0 },
    token: { file: "t" },
    tls: { cert: "c", key: "k", clientCa: "a" },
    schema: "s",
    options: {
      echo: false,
      inspect: false,
      subscribeFirst: true,
      maxLineBytes: 1,
      maxPendingBytes: 2,
      maxTotalPendingBytes: 3,
      maxClients: 4,
      maxClientsPerAddress: 5,
      maxEventsPerSecond: 6,
      maxBytesPerSecond: 7,
      maxHold: 8,
      keepAliveInterval: 9,
      writeTimeout: 10,
      lineTimeout: 11,
      retryAfter: 12,
      maxSubscriptions: 14,
      maxTotalSubscriptions: 15,
      maxBatchDelay: 16,
      web: { origins: ["http://o", "null"], hosts: ["h"], metricsOpen: true },
      clusterLoss: "stop",
    },
    cluster: {
      servers: ["nats://a", "tls://b:1"],
      name: "n",
      files: { credentials: "d", ca: "e", cert: "f", key: "g" },
    },
    log: "json",
    statsSeconds: 13,
  });
  assertEquals(settingsOf(keeping.split(" ")).options.history, {
    folder: "log",
    sync: "never",
    keep: ["a", "b.>"],
    keepAge: 17,
    keepBytes: 1_048_576,
    keepCount: 18,
    keepLast: ["c"],
  });
  assertEquals(settingsOf(["--history", "memory"]).options.history, {});
  assertEquals(settingsOf(["--history", "log"]).options.history, { folder: "log" });
  const cluster = "--history cluster --cluster nats://a --keep-bytes 65536";
  assertEquals(settingsOf(cluster.split(" ")).options.history, { keepBytes: 65_536 });
  assertEquals(settingsOf(["--history", "./none"]).options.history, { folder: "./none" });
  assertEquals(settingsOf(["--history", "./Memory"]).options.history, { folder: "./Memory" });
  assertEquals(settingsOf(["--history=memory", "--keep-age=7d"]).options.history, {
    keepAge: 604_800_000,
  });
  assertEquals(settingsOf(["--history=/log", "--history-sync=never"]).options.history, {
    folder: "/log",
    sync: "never",
  });
  for (const { name } of FLAGS) {
    const isTried = `${args} ${keeping} `.includes(`--${name} `) ||
      args.includes(`--no-${name} `) ||
      ["unix", "token", "version"].includes(name);
    assert(isTried, name);
  }
});

Deno.test("toRelaySettings() lets browsers in where only this machine can connect", () => {
  const none = { origins: [], hosts: [], metricsOpen: false };
  for (const host of ["127.0.0.1", "127.0.0.2", "::1", "localhost"]) {
    assertEquals(settingsOf(["--host", host]).options.web, none);
  }
  assertEquals(settingsOf(["--no-web"]).options.web, undefined);
  assertEquals(settingsOf(["--host", "0.0.0.0"]).options.web, undefined);
  assertEquals(settingsOf(["--unix", "/run/relay"]).options.web, undefined);
});

Deno.test("toRelaySettings() lets browsers in from elsewhere only with a token or named pages", () => {
  const elsewhere = ["--host", "0.0.0.0", "--web"];
  const none = { origins: [], hosts: [], metricsOpen: false };
  assertThrows(() => settingsOf(elsewhere), UsageError, "--token-file");
  assertThrows(() => settingsOf(elsewhere), UsageError, "--web-origin");
  assertEquals(settingsOf(elsewhere, "s3cret").options.web, none);
  const origin = "https://chat.example";
  const named = settingsOf([...elsewhere, "--web-origin", origin]);
  assertEquals(named.options.web, { ...none, origins: [origin] });
});

Deno.test("toRelaySettings() names an origin or a host that is none", () => {
  const origin = () => settingsOf(["--web-origin", "https://a/b"]);
  assertThrows(origin, UsageError, "Invalid --web-origin: expected the origin of a page");
  assertThrows(() => settingsOf(["--web-host", "*"]), UsageError, "Invalid --web-host: expected");
  settingsOf(["--web-origin", "http://localhost:8000/", "--web-host", "relay.example"]);
});

Deno.test("toRelaySettings() names the option for browsers that has no effect", () => {
  const elsewhere = ["--host", "0.0.0.0"];
  assertThrows(() => settingsOf([...elsewhere, "--web-host", "h"]), UsageError, "--web-host needs");
  assertThrows(() => settingsOf([...elsewhere, "--metrics-open"]), UsageError, "--metrics-open");
  assertThrows(
    () => settingsOf(["--no-web", "--web-origin", "null"]),
    UsageError,
    "exclude each other",
  );
  const both = () => settingsOf(["--no-web", "--web"]);
  assertThrows(both, UsageError, "--web and --no-web exclude each other");
  assertThrows(() => settingsOf(["--web", "--web"]), UsageError, "--web is given more than once");
});

Deno.test("toRelaySettings() accepts fractions of durations only", () => {
  const { options, statsSeconds } = settingsOf(["--max-hold", "0.5", "--stats=1.5"]);
  assertEquals(options.maxHold, 0.5);
  assertEquals(statsSeconds, 1.5);
  assertThrows(() => settingsOf(["--rate", "1.5"]), UsageError, "an integer");
  for (const text of ["1e3", ".5", "1.", "0x10", "Infinity", "-0.5"]) {
    assertThrows(
      () => settingsOf([`--keep-alive=${text}`]),
      UsageError,
      "a time from 1ms to 24.8d, or a number of milliseconds, not",
    );
  }
});

Deno.test("toRelaySettings() accepts a Unix socket instead of an address", () => {
  assertEquals(settingsOf(["--unix", "/run/relay"]).where, { path: "/run/relay" });
});

Deno.test("toRelaySettings() reads the token from an option, or else from the environment", () => {
  assertEquals(settingsOf(["--token", "s"]).token, { from: "--token", text: "s" });
  assertEquals(settingsOf(["--token", "s"], "e").token, { from: "--token", text: "s" });
  assertEquals(settingsOf(["--token-file", "f"], "e").token, { file: "f" });
  assertEquals(settingsOf([], "s").token, { from: "EBSOCKETS_TOKEN", text: "s" });
  assertEquals(settingsOf(["--token-file", "f"]).token, { file: "f" });
  assert(settingsOf(["--token", "x".repeat(1024)]).token !== null);
});

function notATime(name: string, min: string, max: string, text: string): string {
  const range = `a time from ${min} to ${max}, or a number of milliseconds`;
  return `--${name} must be ${range}, not "${text}"`;
}

Deno.test("toRelaySettings() refuses contradictory options", () => {
  const cases: [args: string, complaint: string, environmentToken?: string][] = [
    ["--unix /a --host ::1", "--unix and --host exclude each other"],
    ["--unix /a --port 1", "--unix and --port exclude each other"],
    ["--unix /a --tls-cert c --tls-key k", "--unix and --tls-cert exclude each other"],
    ["--unix=", "--unix needs a value: PATH"],
    ["--token=", "--token needs a value: TOKEN"],
    ["--token", "--token needs a value: TOKEN"],
    [`--token ${"é".repeat(513)}`, "--token must have from 1 to 1024 bytes, not 1026"],
    ["", "EBSOCKETS_TOKEN must have from 1 to 1024 bytes, not 1025", "x".repeat(1025)],
    ["--token a --token-file b", "--token-file and --token exclude each other"],
    ["--token-file=", "--token-file needs a value: FILE"],
    ["--tls-cert c", "--tls-cert needs --tls-key too"],
    ["--tls-key k", "--tls-key needs --tls-cert too"],
    ["--tls-client-ca a", "--tls-client-ca needs --tls-cert and --tls-key too"],
    ["--tls-cert c --tls-client-ca a", "--tls-cert needs --tls-key too"],
    ["--tls-cert= --tls-key k", "--tls-cert needs a value: FILE"],
    ["--rate 0", '--rate must be an integer of at least 1, not "0"'],
    ["--rate-bytes 1e3", '--rate-bytes must be an integer of at least 1, not "1e3"'],
    [
      "--max-total-pending-bytes 0",
      '--max-total-pending-bytes must be an integer of at least 1, not "0"',
    ],
    [
      "--max-clients-per-address x",
      '--max-clients-per-address must be an integer of at least 1, not "x"',
    ],
    ["--max-hold=-1", notATime("max-hold", "0", "24.8d", "-1")],
    ["--keep-alive 0", notATime("keep-alive", "1ms", "24.8d", "0")],
    ["--write-timeout 2147483648", notATime("write-timeout", "1ms", "24.8d", "2147483648")],
    ["--line-timeout 1x", notATime("line-timeout", "1ms", "24.8d", "1x")],
    ["--retry-after 2h", notATime("retry-after", "0", "1h", "2h")],
    [
      "--stats 0",
      '--stats must be a time from 1s to 24.8d, or a number of seconds, not "0"',
    ],
    ["--stats", "--stats needs a value: SECONDS"],
    ["--log=", "--log needs a value: text|json|quiet"],
  ];
  for (const [args, complaint, environmentToken] of cases) {
    const { message } = assertThrows(
      () => settingsOf(args === "" ? [] : args.split(" "), environmentToken),
      UsageError,
    );
    assertEquals(message, complaint, args);
  }
});

Deno.test("toRelaySettings() never shows a token", () => {
  const cases: [args: string[], environmentToken?: string][] = [
    [["--token", "secret".repeat(200)]],
    [["--token", "secret", "--token-file", "f"]],
    [[], "secret".repeat(200)],
  ];
  for (const [args, environmentToken] of cases) {
    const { message } = assertThrows(() => settingsOf(args, environmentToken), UsageError);
    assertNotMatch(message, /secret/);
  }
});

Deno.test("toRelaySettings() takes the servers of the cluster from the environment, too", () => {
  const servers = "nats://user:pass@a:1";
  assertEquals(settingsOf([], undefined, servers).cluster, { servers: [servers], files: {} });
  const { cluster } = settingsOf(["--cluster", "nats://b, nats://c"], undefined, servers);
  assertEquals(cluster?.servers, ["nats://b", "nats://c"]);
});

Deno.test("toRelaySettings() refuses a password that others on the machine could see", () => {
  for (const url of ["nats://user:pass@a", "nats://b,tls://user:pass@a:4222"]) {
    assertThrows(() => settingsOf(["--cluster", url]), UsageError, "EBSOCKETS_CLUSTER");
  }
  for (const url of ["nats://a:4222", "nats://[::1]:4222", "nats://a,nats://b:1"]) {
    assertEquals(settingsOf(["--cluster", url]).cluster?.servers, url.split(","));
  }
});

Deno.test("toRelaySettings() names the option of a cluster that has no effect", () => {
  assertThrows(
    () => settingsOf(["--cluster-name", "a"]),
    UsageError,
    "--cluster-name needs --cluster",
  );
  assertThrows(() => settingsOf(["--cluster-loss", "stop"]), UsageError, "--cluster-loss needs");
});

Deno.test("toRelaySettings() names the option of a history that is wrong or has no effect", () => {
  const cases: [args: string, complaint: string][] = [
    ["--keep a", "--keep needs --history too"],
    ["--keep-age 5", "--keep-age needs --history too"],
    ["--keep-bytes 65536", "--keep-bytes needs --history too"],
    ["--keep-count 5", "--keep-count needs --history too"],
    ["--keep-last a", "--keep-last needs --history too"],
    ["--history memory --history-sync never", "--history-sync needs a folder in --history"],
    ["--history-sync never", "--history-sync needs --history too"],
    [
      "--history log --history-sync once",
      '--history-sync must be ack, always or never, not "once"',
    ],
    ...["memory", "./log"].map((where): [string, string] => [
      `--history ${where} --cluster nats://a`,
      "--history must be cluster with --cluster, since the relays keep events together in JetStream",
    ]),
    [
      "--history cluster",
      "--history cluster needs --cluster too; for a folder, write ./cluster",
    ],
    [
      "--history cluster --cluster nats://a --history-sync ack",
      "--history-sync needs a folder in --history; JetStream decides by itself",
    ],
    [
      "--history Cluster --cluster nats://a",
      '--history must be cluster, or a folder such as ./Cluster, not "Cluster"',
    ],
    [
      "--history memory --keep a.>.b",
      'Invalid --keep: "a.>.b" is no pattern: ">" stands for all the rest, and so must be the last token',
    ],
    ["--history memory --keep-last=", "--keep-last needs a value: PATTERN"],
    ...["1", "1x"].map((text): [string, string] => [
      `--history log --keep-bytes ${text}`,
      "--keep-bytes must be an integer from 65536, with a folder from 1048576, to 1099511627776, " +
      `not "${text}"`,
    ]),
    ...["Memory", "MEMORY"].map((text): [string, string] => [
      `--history ${text}`,
      `--history must be memory, or a folder such as ./${text}, not "${text}"`,
    ]),
    ...[
      ["none", "leave it out to keep nothing"],
      ["OFF", "leave it out to keep nothing"],
      ["on", "write memory to keep events until the relay ends"],
      ["disk", "name a folder, such as /var/lib/relay"],
      ["jetstream", "write cluster to keep events in JetStream"],
      ["redis", "nothing else is supported"],
    ].map(([text, advice]): [string, string] => [
      `--history ${text}`,
      `--history must be memory, a folder or cluster, not "${text}": ${advice}; ` +
      `for a folder with this name, write ./${text}`,
    ]),
    ["--history memory --keep-count 0", '--keep-count must be an integer of at least 1, not "0"'],
    ["--history memory --keep-age 366d", notATime("keep-age", "1ms", "365d", "366d")],
    ["--history=", "--history needs a value: memory|DIR|cluster"],
  ];
  for (const [args, complaint] of cases) {
    const { message } = assertThrows(() => settingsOf(args.split(" ")), UsageError);
    assertEquals(message, complaint, args);
  }
  const excess = () => settingsOf(["--history", "memory", "--keep-bytes", "9999999999999"]);
  assertThrows(excess, UsageError, "Invalid --keep-bytes: expected an integer from 65536 to");
  const little = () => settingsOf(["--history", "log", "--keep-bytes", "65536"]);
  assertThrows(little, UsageError, "Invalid --keep-bytes: expected an integer from 1048576 to");
});

Deno.test("withTermFlags() names flags instead of options", () => {
  const cases = [
    ["relay r: its keepLast is [], here", "relay r: its --keep-last is [], here"],
    ["its echo is false", "its echo (--no-echo) is false"],
    ["its maxDepth is 64", "its maxDepth is 64"],
    ["its constructor is odd", "its constructor is odd"],
  ] as const;
  for (const [text, expected] of cases) assertEquals(withTermFlags(text), expected);
});
