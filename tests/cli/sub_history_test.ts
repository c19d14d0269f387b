import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { formatAddress } from "../../protocol/address.ts";
import { Command } from "../support/command.ts";
import { said } from "../support/fake_relay.ts";
import { FakeServer, type FakeSession } from "../support/fake_server.ts";
import { type Asked, keeping } from "../support/history_relay.ts";
import { until } from "../support/waiting.ts";

/** A `sub` command, and the relay that it asks. */
class Sub implements AsyncDisposable {
  readonly server = new FakeServer(keeping(100));
  readonly command: Command;
  session!: FakeSession;

  constructor(...args: string[]) {
    this.command = new Command(["sub", formatAddress(this.server.address), ...args]);
  }

  async asked(): Promise<Asked> {
    return await said(this.session) as Asked;
  }

  ack({ id }: Asked, history?: object): Promise<void> {
    const answer = history && { history: { epoch: "e1", from: 0, to: 100, ...history } };
    return this.session.send({ control: "ack", id, ...answer });
  }

  /** Connects, up to the request for kept events. */
  async start(): Promise<Asked> {
    this.session = await this.server.session();
    const nothing = await this.asked();
    assertEquals([nothing.events, nothing.since], [[], undefined]);
    await this.ack(nothing);
    return await this.asked();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.command[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

for (
  const [args, since] of [
    [["--since", "10m"], { age_ms: 600_000 }],
    [["--since", "1.5h"], { age_ms: 5_400_000 }],
    [["--since", "500ms"], { age_ms: 500 }],
    [["--since", "e:1:17"], { epoch: "e:1", offset: 17 }],
    [["--last", "20"], { count: 20 }],
    [["--all"], { first: true }],
    [["--last-values"], { last: true }],
  ] as [string[], object][]
) {
  Deno.test(`sub ${args.join(" ")} prints kept events first, then those that arrive`, async () => {
    await using sub = new Sub(...args, "--count=3", "a.>");
    const line = await sub.start();
    assertEquals([line.events, line.since, line.partial], [
      ["a.>"],
      since,
      args[0] === "--last-values" ? "last" : true,
    ]);
    await sub.ack(line);
    await sub.session.write('{"offset":98,"event":"a.x"}\n{"offset":99,"event":"a.y"}\n');
    await sub.session.send({ control: "live", id: line.id, offset: 100 });
    await sub.session.write('{"offset":101,"event":"a.z"}\n{"offset":102,"event":"a.z"}\n');
    const { code, stdout, stderr } = await sub.command.end();
    assertEquals(code, 0);
    assertEquals(
      stdout,
      '{"offset":98,"event":"a.x"}\n{"offset":99,"event":"a.y"}\n{"offset":101,"event":"a.z"}\n',
    );
    assertMatch(stderr, /^Listening to .*\nGo on with --since e1:101\n$/);
  });
}

Deno.test("sub --no-follow prints the kept events as without it, and ends", async () => {
  await using sub = new Sub("--all", "--no-follow");
  const line = await sub.start();
  assertEquals([line.events, line.since, line.live], [[">"], { first: true }, false]);
  await sub.ack(line, {});
  const past = `"past":${JSON.stringify(line.id)}`;
  await sub.session.write(`{"offset":1,${past},"event":"a", "__dict__":{"n":1.0}}\n`);
  await sub.session.write(`{"event":"b","offset":3,${past}}\n`);
  await sub.session.send({ control: "end", id: line.id, offset: 100 });
  assertEquals(await sub.command.end(), {
    code: 0,
    stdout: '{"offset":1,"event":"a", "__dict__":{"n":1.0}}\n{"event":"b","offset":3}\n',
    stderr: "Go on with --since e1:100\n",
  });
});

Deno.test("sub --no-follow --count reports where to go on after the last one", async () => {
  await using sub = new Sub("--all", "--no-follow", "--count=1");
  const line = await sub.start();
  await sub.ack(line, {});
  for (const offset of [4, 5]) await sub.session.send({ event: "a", offset, past: line.id });
  const { code, stdout, stderr } = await sub.command.end();
  assertEquals([code, stdout], [0, '{"event":"a","offset":4}\n']);
  assertEquals(stderr, "Go on with --since e1:4\n");
});

Deno.test("sub --no-follow goes on after a gap, says what is missing, and exits with 1", async () => {
  await using sub = new Sub("--all", "--no-follow");
  const line = await sub.start();
  await sub.ack(line, {});
  const gap = { control: "gap", id: line.id, reason: "evicted" };
  await sub.session.send({ event: "a", offset: 1, past: line.id });
  await sub.session.send({ ...gap, from: 2, to: 2 });
  await sub.session.send({ event: "a", offset: 3, past: line.id });
  await sub.session.send({ ...gap, from: 4, to: 9 });
  await sub.session.send({ control: "end", id: line.id, offset: 9 });
  const { code, stdout, stderr } = await sub.command.end();
  assertEquals([code, stdout], [1, '{"event":"a","offset":1}\n{"event":"a","offset":3}\n']);
  const why = "missing: no longer kept by the relay, or damaged";
  assertEquals(
    stderr,
    `Event 2 is ${why}\nEvents 4 to 9 are ${why}\nGo on with --since e1:9\n`,
  );
});

Deno.test("sub reports events that are missing, and what it has received after a reconnect", async () => {
  await using sub = new Sub("--since", "e0:7");
  await sub.ack(await sub.start(), { recovered: false, reason: "epoch", from: 100 });
  await until(() => sub.command.stderr.includes("Listening to"));
  assertStringIncludes(sub.command.stderr, "Events are missing: the relay has begun a new history");
  await sub.session.close();
  sub.session = await sub.server.session();
  const line = await sub.asked();
  assertEquals([line.since, line.partial], [{ epoch: "e1", offset: 100 }, true]);
  await sub.ack(line, { recovered: true, from: 100, to: 103 });
  await sub.session.write('{"offset":103,"event":"a"}\n');
  await sub.session.send({ control: "live", id: line.id, offset: 103 });
  await until(() => sub.command.stderr.includes("Received 1 event that"));
  assertStringIncludes(sub.command.stderr, "; catching up");
});

Deno.test("sub --no-follow prints what is left if events since a position are missing", async () => {
  await using sub = new Sub("--since", "e0:7", "--no-follow");
  const line = await sub.start();
  assertEquals([line.since, line.partial], [{ epoch: "e0", offset: 7 }, true]);
  await sub.ack(line, { recovered: false, reason: "epoch", from: 0 });
  await sub.session.send({ event: "a", offset: 1, past: line.id });
  await sub.session.send({ control: "end", id: line.id, offset: 100 });
  const { code, stdout, stderr } = await sub.command.end();
  assertEquals([code, stdout], [1, '{"event":"a","offset":1}\n']);
  assertMatch(stderr, /^Events are missing: the relay has begun a new history since then\nGo on/);
});

for (const args of [["--all"], ["--all", "--no-follow"]]) {
  Deno.test(`sub ${args.join(" ")} fails at a relay that keeps no events`, async () => {
    await using server = new FakeServer({ features: ["subscribe"] });
    const where = formatAddress(server.address);
    await using command = new Command(["sub", where, ...args]);
    const session = await server.session();
    session.send({ control: "ack", id: (await said(session)).id }).catch(() => {});
    const { code, stderr } = await command.end();
    assertEquals(code, 1);
    assertStringIncludes(stderr, `Cannot print kept events: the relay at ${where} keeps none`);
  });
}

Deno.test("sub rejects options about kept events that do not fit together", async () => {
  const cases: [string[], string][] = [
    [["--last=1", "--all"], "--last and --all exclude each other"],
    [["--last=1", "--queue=q"], "--last and --queue exclude each other"],
    [
      ["--last=2", "--from=c1"],
      "--last and --from exclude each other: kept events carry no sender",
    ],
    [["--no-follow"], "--no-follow needs --since, --last, --all or --last-values"],
    ...["soon", "-5m", "5", "e:9007199254740993", "999999999999d"].map((
      text,
    ): [string[], string] => [
      ["--since", text],
      `--since must be a time such as 10m, or EPOCH:OFFSET, not "${text}"`,
    ]),
    [["--since", ""], "--since needs a value: TIME|EPOCH:OFFSET"],
    [["--last=0"], "--last must be an integer"],
    [
      ["--last", "99999999999999999999"],
      'integer from 1 to 9007199254740991, not "99999999999999999999"',
    ],
  ];
  for (const [args, message] of cases) {
    await using command = new Command(["sub", ...args]);
    const { code, stderr } = await command.end();
    assertEquals(code, 2);
    assertStringIncludes(stderr, message);
  }
});
