import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Executor } from "../../cli/shell_command.ts";
import {
  type Responder,
  Service,
  type ServiceRequest,
  toAttributes,
} from "../../cli/exec_service.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { script } from "../support/script.ts";
import { PATIENCE, until } from "../support/waiting.ts";

/** The end of a connection to which answers go; notes each. */
class FakeResponder implements Responder {
  readonly maxLineBytes = 1000;
  readonly lines: string[] = [];
  isOpen = true;
  /** What there is no room for until it is fulfilled. */
  roomIn: Promise<void> | null = null;

  send(line: Uint8Array): boolean {
    if (this.isOpen) this.lines.push(textOf(line));
    return this.isOpen;
  }

  room(): Promise<void> | null {
    return this.roomIn;
  }
}

function setUp(command: string, jobs = 1) {
  const wire = new FakeResponder();
  const news: string[] = [];
  let rooms = 0;
  const executor = new Executor(command, { timeout: PATIENCE, maxOutputBytes: 1_000_000 });
  const onNews = (text: string) => news.push(text);
  const service = new Service({ executor, jobs, onNews, onRoom: () => rooms++ });
  const ask = (line = '{"event":"a","id":"r1","from":"c3"}\n'): ServiceRequest => ({
    line: utf8(line),
    name: "a",
    id: "r1",
    from: "c3",
    source: { wire },
  });
  return { wire, news, service, ask, rooms: () => rooms };
}

Deno.test("toAttributes() accepts one JSON object as it was written, and describes any other output", () => {
  const cases: [output: string, attributes: string][] = [
    ['{"a":1,"event":"x"}', '{"a":1,"event":"x"}'],
    ['{"id":9007199254740993,"b":1.0,"1":1e400}', '{"id":9007199254740993,"b":1.0,"1":1e400}'],
    ['{"a": "\\u00e9\u2028", "a": -0}', '{"a": "\\u00e9\u2028", "a": -0}'],
    [' \n{\r\n  "a": {}\n}', '{    "a": {} }'],
    ["{}", "{}"],
    ["", '{"output":"","code":0}'],
    ["12:00", '{"output":"12:00","code":0}'],
    ["[1]", '{"output":"[1]","code":0}'],
    ["null", '{"output":"null","code":0}'],
    ['{"a":1}{"b":2}', '{"output":"{\\"a\\":1}{\\"b\\":2}","code":0}'],
    ['{"a":', '{"output":"{\\"a\\":","code":0}'],
  ];
  for (const [output, attributes] of cases) {
    assertEquals(toAttributes({ output, code: 0, fault: null }), attributes);
  }
});

Deno.test("toAttributes() never uses the output of a failed command as a reply", () => {
  const fault = "it ended with code 3";
  const attributes = toAttributes({ output: '{"a":1}', code: 3, fault });
  assertEquals(JSON.parse(attributes), { output: '{"a":1}', code: 3, error: fault });
});

Deno.test("Service.take() passes the line unchanged to the command, and sends its object unchanged", async () => {
  const { wire, service, ask } = setUp(
    script("await Deno.stdin.readable.pipeTo(Deno.stdout.writable)"),
  );
  const line = '{"from":"c3","id":"r1","event":"a" ,"__dict__":{"2":1e400,"1":9007199254740993}}\n';
  service.take(ask(line));
  await service.finish();
  assertEquals(wire.lines, [
    `{"event":"a","__dict__":${line.trimEnd()},"reply_to":"r1","to":"c3"}\n`,
  ]);
});

Deno.test("Service.take() returns false when it is full, and calls onRoom when it is not", async () => {
  const { wire, service, ask, rooms } = setUp("exit 0", 2);
  const big = ask(`{"event":"a","x":"${"x".repeat(3_000_000)}"}\n`);
  const hasRoom = [1, 2, 3, 4, 5, 6].map(() => service.take(big));
  assertEquals(hasRoom, [true, true, true, true, false, false]);
  assertEquals(service.running, 2);
  await service.finish();
  assertEquals(wire.lines.length, 6);
  assertEquals(rooms(), 1);
});

Deno.test("Service sends no answer before there is room for it", async () => {
  const { wire, service, ask, news } = setUp("exit 0");
  const room = Promise.withResolvers<void>();
  wire.roomIn = room.promise;
  service.take(ask());
  await until(() => news.length === 1);
  assertEquals(wire.lines, []);
  assertEquals(service.running, 1);
  wire.roomIn = null;
  room.resolve();
  await service.finish();
  assertEquals(wire.lines.length, 1);
});

Deno.test("Service replies with the reason if a reply cannot be sent, and reports it", async () => {
  const cases: [source: string, fault: RegExp][] = [
    [
      "console.log('{\"a\":' + '['.repeat(70) + ']'.repeat(70) + '}')",
      /^it nests deeper than 62 levels$/,
    ],
    ["console.log('x'.repeat(2000))", /^its 20\d\d bytes exceed the 1000 that the relay accepts$/],
  ];
  for (const [source, fault] of cases) {
    const { wire, service, ask, news } = setUp(script(source));
    service.take(ask());
    await service.finish();
    const { __dict__ } = JSON.parse(wire.lines[0]!);
    assertMatch(__dict__.error, fault);
    assertEquals(__dict__.output, "");
    assertEquals(__dict__.code, 0);
    assertMatch(news[1]!, /^cannot send the answer to a for c3: /);
  }
});

Deno.test("Service reports a reply without a recipient", async () => {
  const { wire, service, ask, news } = setUp("exit 0");
  wire.isOpen = false;
  service.take(ask());
  await service.finish();
  assertMatch(news[1]!, /^cannot send the answer to a for c3: .* has ended$/);
});
