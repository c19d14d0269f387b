import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { NO_SENDER } from "../../history/kept_block.ts";
import type { EventLog } from "../../history/log.ts";
import { MemoryLog } from "../../history/memory_log.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import type { LineConnection } from "../../net/line_connection.ts";
import { Block } from "../../net/piece.ts";
import { HistoryGateway } from "../../relay/history_gateway.ts";
import { Router } from "../../relay/router.ts";
import type { Subscriber } from "../../relay/subscription_table.ts";
import { utf8 } from "../support/bytes.ts";
import { FakeRecipient } from "../support/routes.ts";
import { pause, until } from "../support/waiting.ts";

/** Makes the blocks of a log come a little later, as from a disk. */
function slowed(log: EventLog): EventLog {
  const read = log.read.bind(log);
  log.read = async (offset) => {
    await pause(1);
    return read(offset);
  };
  return log;
}

/** A client whose queue is always empty. */
class FakeClient extends FakeRecipient {
  flush(): Promise<void> {
    return Promise.resolve();
  }
}

interface Fixture extends Disposable {
  readonly gateway: HistoryGateway;
  readonly log: EventLog;
  /** Connects a client, which asks for offsets. */
  join(): Subscriber<LineConnection>;
  /** Passes an event of a client on. */
  publish(source: Subscriber<LineConnection>, name: string): void;
}

function open(log: EventLog = new MemoryLog(checkHistoryOptions({}))): Fixture {
  const rules = checkHistoryOptions({});
  const router = new Router<LineConnection>({
    echo: true,
    subscribeFirst: false,
    maxBatchDelay: 0,
    maxPendingBytes: 8_388_608,
    onQueued: () => {},
    hasHistory: true,
  });
  const gateway = new HistoryGateway({
    router,
    log,
    rules,
    echo: true,
    maxPendingBytes: 8_388_608,
  });
  let lastId = 0;
  return {
    gateway,
    log,
    join() {
      const client = new FakeClient(++lastId) as unknown as LineConnection;
      const subscriber = router.open(client);
      gateway.greet(subscriber, { ack: false, offsets: true });
      return subscriber;
    },
    publish(source, name) {
      const bytes = utf8(`{"event":"${name}"}\n`);
      gateway.routing.begin(source);
      const start = bytes.length - name.length - '"}\n'.length;
      const route = router.routes.find(bytes, start, start + name.length);
      const line = { block: new Block(bytes), start: 0, end: bytes.length };
      gateway.routing.pass(route, line, false, null, false);
      gateway.routing.end(false);
    },
    [Symbol.dispose]: () => gateway.stop(),
  };
}

const textOf = ({ recipient }: Subscriber<LineConnection>): string =>
  (recipient as unknown as FakeRecipient).text;

Deno.test("HistoryGateway tells clients how far they are every 25 s, if there was an event", () => {
  using fixture = open();
  const { gateway } = fixture;
  const one = fixture.join();
  const tick = (times: number) => {
    for (let i = 0; i < times; i++) gateway.tick();
  };
  tick(25);
  assertEquals(textOf(one), "");
  fixture.publish(one, "a");
  tick(24);
  assertEquals(textOf(one), '{"offset":1,"event":"a"}\n');
  tick(1);
  assertEquals(textOf(one), '{"offset":1,"event":"a"}\n{"control":"at","offset":1}\n');
  tick(25);
  fixture.publish(one, "a");
  tick(25);
  assertMatch(textOf(one), /"offset":2,"event":"a"\}\n\{"control":"at","offset":2\}\n$/);
});

Deno.test("HistoryGateway waits for blocks that do not come at once", async () => {
  using fixture = open(slowed(new MemoryLog(checkHistoryOptions({}))));
  const { gateway, log } = fixture;
  const [one, two] = [fixture.join(), fixture.join()];
  const line = utf8(`{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`);
  for (let i = 0; i < 40; i++) log.append(line, 0, line.length, 1, NO_SENDER, 0);
  const ask = (since: "first" | { count: number }, isPast: boolean) => {
    const events = ["a"];
    const replay = { since, isPartial: false, isPast };
    const request = { control: "subscribe" as const, events, id: `s${isPast}`, replay };
    if (isPast) gateway.read(two, request);
    else gateway.change(one, request, one.subscriptions.after(request));
  };
  ask("first", false);
  ask({ count: 35 }, true);
  await pause(5);
  fixture.publish(two, "a");
  await until(() => textOf(one).includes('"live"') && textOf(two).includes('"end"'));
  fixture.publish(two, "a");
  const offsets = (text: string) =>
    Array.from(text.matchAll(/"offset":([0-9]+),/g), ([, offset]) => Number(offset));
  assertEquals(offsets(textOf(one)), Array.from({ length: 42 }, (_, i) => i + 1));
  const past = textOf(two).split("\n").filter((line) => line.includes('"past"')).join("\n");
  assertEquals(offsets(past), Array.from({ length: 35 }, (_, i) => i + 6));
});
