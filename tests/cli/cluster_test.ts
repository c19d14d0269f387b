import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Command } from "../support/command.ts";
import { eventually } from "../support/waiting.ts";
import { freePort } from "../support/free_port.ts";
import { JETSTREAM } from "../support/jetstream.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";

const ALL = ["-A"];

needingTest("relay --cluster joins the relays on the same NATS, and says when it loses them", [
  NATS_SERVER,
], async () => {
  await using nats = await TestNatsServer.start();
  const args = ["--port=0", "--cluster", nats.url()];
  await using first = new Command(args, ALL);
  const a = await first.listens();
  await using second = new Command(args, ALL);
  const b = await second.listens();
  assertMatch(first.stdout, /joined the cluster as relay r\S+, with 0 other relays$/m);
  const [, id] = /joined the cluster as relay (r\S+), with 1 other relay$/m.exec(second.stdout)!;
  await first.expect(new RegExp(`relay ${id} has joined the cluster`));
  await using sub = new Command(["sub", `${a[0]}:${a[1]}`, "e.*"], ALL);
  await eventually(async () => {
    await using pub = new Command(["pub", `${b[0]}:${b[1]}`, "e.x", "n:=1"], ALL);
    assertEquals((await pub.end()).code, 0);
    assertStringIncludes(sub.stdout, "e.x");
  });
  await nats.kill();
  await first.expect(/lost the way to the other relays/);
  await nats.restart();
  await first.expect(/reached NATS, the way to the other relays, again/);
  await second[Symbol.asyncDispose]();
  await first.expect(new RegExp(`relay ${id} has vanished without a word`));
});

needingTest("pub says why nothing is accepted by a relay that has lost its cluster", [
  NATS_SERVER,
], async () => {
  await using nats = await TestNatsServer.start();
  const args = ["--port=0", "--cluster-loss=stop", "--cluster", nats.url()];
  await using relay = new Command(args, ALL);
  const [hostname, port] = await relay.listens();
  await nats.kill();
  await relay.expect(/lost the way to the other relays/);
  await using pub = new Command(["pub", `${hostname}:${port}`, "e.x"], ALL);
  await eventually(() => {
    assertMatch(pub.stderr, /^The relay has lost the other relays, and may accept nothing until/);
    return Promise.resolve();
  });
  await nats.restart();
  assertEquals((await pub.end()).code, 0);
});

needingTest(
  "relay --history cluster that meets another one with other terms later says so and ends",
  [
    NATS_SERVER,
  ],
  async () => {
    await using nats = await TestNatsServer.start(JETSTREAM);
    const args = ["--port=0", "--history=cluster", "--cluster", nats.url()];
    await using first = new Command(args, ALL);
    await first.listens();
    assertMatch(first.stdout, /Z history in JetStream, up to offset [\d,]+, epoch \S+$/m);
    first.kill("SIGSTOP"); // It does not say that it is there.
    await using second = new Command([...args, "--keep=a"], ALL);
    await second.listens();
    first.kill("SIGCONT");
    const { code, stderr } = await second.end();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot join the cluster: relay r\S+ cannot be joined: its --keep is/m,
    );
    await first.expect(/its --keep is \["a"\], here it is \[">"\]/);
  },
);

needingTest(
  "relay --cluster names a missing --history as what differs, before all that follows from it",
  [
    NATS_SERVER,
  ],
  async () => {
    await using nats = await TestNatsServer.start(JETSTREAM);
    const args = ["--port=0", "--cluster", nats.url()];
    await using first = new Command([...args, "--history=cluster"], ALL);
    await first.listens();
    {
      await using second = new Command(args, ALL);
      await second.listens();
      const words = "it has a history, this one has none; start both with the same";
      assertMatch(second.stdout, new RegExp(`Z relay r\\S+ cannot be joined: ${words}$`, "m"));
      await first.expect(/it has no history, this one has one; start both with the same\n/);
    }
    const other = [...args, "--history=cluster", "--keep-last=a", "--max-line-bytes=1000"];
    await using third = new Command(other, ALL);
    const { code, stderr } = await third.end();
    assertEquals(code, 1);
    assertStringIncludes(stderr, 'its --keep-last is [], here it is ["a"]; start both');
  },
);

Deno.test("relay --cluster without a NATS server there says so and ends", async () => {
  const url = `nats://127.0.0.1:${freePort()}`;
  await using relay = new Command(["--port=0", "--cluster", url], ALL);
  const { code, stderr } = await relay.end();
  assertEquals(code, 1);
  assertEquals(stderr.split("Cannot join").length, 2);
  assertStringIncludes(stderr, url);
  assertEquals(stderr.trim().split("\n").length, 1);
});

Deno.test("relay reads the servers of its cluster from EBSOCKETS_CLUSTER, and hides the password", async () => {
  const env = { EBSOCKETS_CLUSTER: `nats://user:s3cret@127.0.0.1:${freePort()}` };
  await using relay = new Command(["--port=0"], ALL, "mod.ts", env);
  const { code, stderr } = await relay.end();
  assertEquals(code, 1);
  assertMatch(stderr, /Cannot join/);
  assertEquals(stderr.includes("s3cret"), false);
});

Deno.test("relay --cluster names a URL that is none", async () => {
  await using relay = new Command(["--port=0", "--cluster", "http://a"], ALL);
  const { code, stderr } = await relay.end();
  assertEquals(code === 0, false);
  assertStringIncludes(stderr, "http://a");
  assertStringIncludes(stderr, "nats://");
});

Deno.test("relay --cluster names its flags, and says what to write", async () => {
  const cases: [args: string[], env: Record<string, string>, words: RegExp][] = [
    [["--cluster=127.0.0.1:4222"], {}, /--cluster: .*did you mean nats:\/\/127.0.0.1:4222\?/],
    [["--cluster=nats://a", "--cluster-name=a b"], {}, /--cluster-name: expected 1 to 64 letters/],
    [[], { EBSOCKETS_CLUSTER: "nats://u:s3/cret@host" }, /EBSOCKETS_CLUSTER: .*as %2F/],
    [[], { EBSOCKETS_CLUSTER: "nats://u:s3,cret@host" }, /EBSOCKETS_CLUSTER has a comma .*%2C/],
  ];
  for (const [args, env, words] of cases) {
    await using relay = new Command(["--port=0", ...args], ALL, "mod.ts", env);
    const { code, stderr } = await relay.end();
    assertEquals(code, 2, stderr);
    assertMatch(stderr, words);
    assertEquals(/s3|cret/.test(stderr), false, stderr);
  }
});
