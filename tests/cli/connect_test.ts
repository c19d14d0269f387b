import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import {
  connect,
  CONNECTION_GROUP,
  explainConnectError,
  hearNothing,
  readTarget,
  reportNews,
  type Target,
} from "../../cli/connect.ts";
import { StartError, UsageError } from "../../cli/errors.ts";
import { parseFlags } from "../../cli/flags.ts";
import type { ClientStatus, EbsocketClient, Position } from "../../client.ts";
import { ConnectError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { testRelay } from "../../testing.ts";

function targetOf(
  args: string[],
  environment: Record<string, string> = {},
): [target: Target, words: readonly string[]] {
  return readTarget(parseFlags(args, CONNECTION_GROUP.flags), (name) => environment[name]);
}

const LOCAL: Target = { where: ["127.0.0.1", 7982], token: null, tls: null };

Deno.test("readTarget() reads the relay from the first word, an option, the environment, or the default", () => {
  const url = { EBSOCKETS_URL: "tls://url@host:2" };
  const fromUrl = {
    where: ["host", 2] as const,
    token: { from: "The token before @", text: "url" },
    tls: {},
  };
  const cases: [args: string[], environment: Record<string, string>, Target, words: string[]][] = [
    [[], {}, LOCAL, []],
    [["a", "b"], {}, LOCAL, ["a", "b"]],
    [["a", "--", ":1"], {}, LOCAL, ["a", ":1"]],
    [["--", ":1"], {}, LOCAL, [":1"]],
    [[":1", "--", ":2"], {}, { ...LOCAL, where: ["127.0.0.1", 1] }, [":2"]],
    [["--unix", "/s", "a"], {}, { ...LOCAL, where: { path: "/s" } }, ["a"]],
    [["--unix", "s"], {}, { ...LOCAL, where: { path: "./s" } }, []],
    [["a"], { EBSOCKETS_URL: "unix:///s" }, { ...LOCAL, where: { path: "/s" } }, ["a"]],
    [[], url, fromUrl, []],
    // Who names another relay means nothing of what the variable says, its token least of all.
    [[":1"], url, { ...LOCAL, where: ["127.0.0.1", 1] }, []],
    [["--unix", "/s"], url, { ...LOCAL, where: { path: "/s" } }, []],
  ];
  for (const [args, environment, target, words] of cases) {
    assertEquals(targetOf(args, environment), [target, words], args.join(" "));
  }
});

Deno.test("readTarget() prefers the token that is nearest to the command", () => {
  const both = { EBSOCKETS_URL: "tcp://url@host:2", EBSOCKETS_TOKEN: "variable" };
  const token = (args: string[], environment: Record<string, string>) =>
    targetOf(args, environment)[0].token;
  assertEquals(token(["--token", "option"], both), { from: "--token", text: "option" });
  assertEquals(token(["--token-file", "f"], both), { file: "f" });
  assertEquals(token([], both), { from: "The token before @", text: "url" });
  assertEquals(token([":1"], both), { from: "EBSOCKETS_TOKEN", text: "variable" });
});

Deno.test("readTarget() speaks TLS when any option asks for it", () => {
  const tls = (args: string) => targetOf(args.split(" "))[0].tls;
  assertEquals(tls("--tls"), {});
  assertEquals(tls("--tls-ca a"), { caCerts: "a" });
  assertEquals(tls("--tls-name n"), { hostname: "n" });
  assertEquals(tls("--tls-cert c --tls-key k"), { cert: "c", key: "k" });
});

Deno.test("readTarget() refuses contradictory options, and never shows a token", () => {
  const cases: [args: string, complaint: string, environment?: Record<string, string>][] = [
    [":1 --unix /s", "HOST:PORT and --unix exclude each other"],
    [
      "a :1",
      '":1" is a relay, which must be the first argument and the only one; if it is a name, put -- before it',
    ],
    [
      ":1 a tcp://host:2",
      '"tcp://host:2" is a relay, which must be the first argument and the only one; if it is a name, put -- before it',
    ],
    [
      "localhost a",
      '"localhost" has no port; try localhost:7982; if it is a name, put -- before it',
    ],
    ["[::1]", '"[::1]" has no port; try [::1]:7982; if it is a name, put -- before it'],
    ["7982 a", '"7982" has no host; try localhost:7982; if it is a name, put -- before it'],
    ["--token a --token-file b", "--token-file and --token exclude each other"],
    ["--unix /s --tls", "--tls cannot be used with a Unix socket"],
    ["--unix /s --tls-ca a", "--tls-ca cannot be used with a Unix socket"],
    ["--tls-cert c", "--tls-cert needs --tls-key too"],
    ["--tls-key k", "--tls-key needs --tls-cert too"],
    [`--token ${"x".repeat(1025)}`, "--token must have from 1 to 1024 bytes, not 1025"],
    [
      ":1",
      "EBSOCKETS_TOKEN must have from 1 to 1024 bytes, not 1025",
      { EBSOCKETS_TOKEN: "x".repeat(1025) },
    ],
    [":0", "The relay must have a port from 1 to 65535, not 0"],
    [
      "a",
      "EBSOCKETS_URL must be HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, not " +
      '"tcp://TOKEN@host"; try tcp://TOKEN@host:7982',
      { EBSOCKETS_URL: "tcp://secret@host" },
    ],
  ];
  for (const [args, complaint, environment] of cases) {
    const { message } = assertThrows(() => targetOf(args.split(" "), environment), UsageError);
    assertEquals(message, complaint, args);
  }
});

Deno.test("connect() resolves to a connected client", async () => {
  await using relay = testRelay({ token: "secret" });
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "secret\n");
  await using client = await connect({ ...LOCAL, where: relay.address, token: { file } });
  await Deno.remove(file);
  client.sendEvent(new EbsocketEvent("a"));
  assertEquals((await client.recvEvent())?.event, "a");
});

Deno.test("connect() resolves to a client with its subscriptions, and no events before", async () => {
  await using relay = testRelay();
  const target = { ...LOCAL, where: relay.address };
  await using sender = await connect(target, { prepare: hearNothing });
  await using client = await connect(target, { prepare: (client) => client.subscribe(["b"]) });
  for (const name of ["a", "b"]) {
    await sender.sendEvent(new EbsocketEvent(name), { confirm: true });
  }
  assertEquals((await client.recvEvent())?.event, "b");
  assertEquals(await sender.pump(), [[], true]);
});

Deno.test("connect() reports a missing relay at once, also if it would reconnect later", async () => {
  const gone = testRelay();
  const { address } = gone;
  await gone.close();
  const { message } = await assertRejects(
    () => connect({ ...LOCAL, where: address }, { reconnect: true }),
    StartError,
    "Cannot connect to ",
  );
  assertNotMatch(message, /within/);
});

Deno.test("connect() gives a hint when the relay refuses its token", async () => {
  await using relay = testRelay({ token: "secret" });
  const where = relay.address;
  const without = await assertRejects(() => connect({ ...LOCAL, where }), StartError);
  assertMatch(without.message, /; pass its token with --token-file or EBSOCKETS_TOKEN$/);
  const token = { from: "--token", text: "guess" };
  const wrong = await assertRejects(() => connect({ ...LOCAL, where, token }), StartError);
  assertMatch(wrong.message, /; pass the right token with --token-file or EBSOCKETS_TOKEN$/);
  assertNotMatch(wrong.message, /guess/);
});

Deno.test("connect() rejects with the reason of its signal", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const where = ["127.0.0.1", listener.addr.port] as const;
  const stop = new AbortController();
  const reason = new Error("Stopped");
  const connecting = connect({ ...LOCAL, where }, { signal: stop.signal });
  stop.abort(reason);
  assertEquals(await assertRejects(() => connecting), reason);
  listener.close();
});

Deno.test("explainConnectError() adds a hint", () => {
  const unix: Target = { ...LOCAL, where: { path: "/run/re\nlay" } };
  const cases: [error: unknown, target: Target, advice: string][] = [
    [
      new Deno.errors.NotCapable("No"),
      LOCAL,
      "Cannot connect to 127.0.0.1:7982: Deno does not permit it; " +
      "run it with -A or --allow-net=127.0.0.1:7982",
    ],
    [
      new Deno.errors.NotCapable("No"),
      unix,
      "Cannot connect to /run/re\\nlay: Deno does not permit it; " +
      "run it with -A or --allow-net --allow-read=/run/re\\nlay --allow-write=/run/re\\nlay",
    ],
    [new ConnectError("Ended", { reason: "eof" }), { ...LOCAL, tls: {} }, "Ended"],
    [
      new ConnectError("Ended", { reason: "eof" }),
      LOCAL,
      "Ended; if it uses TLS, add --tls",
    ],
    [
      new ConnectError("Cannot connect to x: No", { cause: new Deno.errors.NotFound() }),
      unix,
      "Cannot connect to /run/re\\nlay: no such socket; is a relay running there?",
    ],
    [
      new ConnectError("TLS handshake failed: the server does not speak TLS; connect without tls"),
      LOCAL,
      "Cannot connect to 127.0.0.1:7982: the server does not speak TLS; connect without TLS",
    ],
    [
      new ConnectError("Cannot connect to order:42: failed to lookup address information: Unknown"),
      { ...LOCAL, where: ["order", 42], word: "order:42" },
      "Cannot connect to order:42: failed to lookup address information: Unknown; " +
      'if "order:42" is a name, put -- before it',
    ],
    [new ConnectError("Cannot connect to x: \x1b"), LOCAL, "Cannot connect to x: \\u001b"],
    [
      new TypeError("Invalid tls.caCerts: it is no certificate"),
      LOCAL,
      "Invalid --tls-ca: it is no certificate",
    ],
  ];
  for (const [error, target, advice] of cases) {
    assertEquals(explainConnectError(error, target), advice);
  }
});

Deno.test("reportNews() says of a gap in a cluster that it is not about kept events, if the client has a position", async () => {
  const newsOf = async (position: Position | null) => {
    const status: AsyncIterable<ClientStatus> = ReadableStream.from([
      { type: "cluster-gap", relay: "rAAAAAAAA", missed: null } as const,
    ]);
    const news: string[] = [];
    const client = { status: () => status, position } as unknown as EbsocketClient;
    await reportNews(client, LOCAL, (text) => void news.push(text));
    return news;
  };
  const text = "Relay rAAAAAAAA could not pass on some events";
  assertEquals(await newsOf(null), [text]);
  const position = { epoch: "k3J9x2aQ", offset: 7 };
  assertEquals(await newsOf(position), [`${text}; kept events are not among them`]);
});
