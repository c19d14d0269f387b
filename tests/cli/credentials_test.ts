import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { chooseToken, inEnvironment, readTls, readToken } from "../../cli/credentials.ts";
import { StartError } from "../../cli/errors.ts";
import { TempFolder } from "../support/folder.ts";

Deno.test("chooseToken() prefers an option to the address of the relay, and that to the environment", () => {
  const none = { token: undefined, "token-file": undefined };
  const option = { ...none, token: "option" };
  const cases: [Parameters<typeof chooseToken>, ReturnType<typeof chooseToken>][] = [
    [[option, "variable", "address"], { from: "--token", text: "option" }],
    [[{ ...none, "token-file": "file" }, "variable", "address"], { file: "file" }],
    [[none, "variable", "address"], { from: "The token before @", text: "address" }],
    [[none, "variable", null], { from: "EBSOCKETS_TOKEN", text: "variable" }],
    [[none, "variable"], { from: "EBSOCKETS_TOKEN", text: "variable" }],
    [[none, undefined], null],
  ];
  for (const [args, source] of cases) assertEquals(chooseToken(...args), source);
});

Deno.test("inEnvironment() treats an empty variable as missing", () => {
  const name = "EBSOCKETS_TEST_IN_ENVIRONMENT";
  const values = [[undefined, undefined], ["", undefined], [" ", " "], ["0", "0"]];
  try {
    for (const [value, found] of values) {
      if (value !== undefined) Deno.env.set(name, value);
      assertEquals(inEnvironment(name), found);
    }
  } finally {
    Deno.env.delete(name);
  }
});

Deno.test("readToken() reads the text of the file, without one line end", async () => {
  using folder = new TempFolder();
  const file = `${folder.path}/token`;
  const cases = [
    ["secret", "secret"],
    ["secret\n", "secret"],
    ["secret\r\n", "secret"],
    ["secret\n\n", "secret\n"],
    [" é \n", " é "],
    [`${"x".repeat(1024)}\n`, "x".repeat(1024)],
  ];
  for (const [content, token] of cases) {
    await Deno.writeTextFile(file, content!);
    assertEquals(await readToken({ file }), token);
  }
  assertEquals(await readToken({ from: "--token", text: "secret" }), "secret");
});

Deno.test("readToken() refuses a file without a token", async () => {
  using folder = new TempFolder();
  const file = `${folder.path}/token`;
  for (const [content, length] of [["", 0], ["\n", 0], ["x".repeat(1025), 1025]] as const) {
    await Deno.writeTextFile(file, content);
    const { message } = await assertRejects(() => readToken({ file }), StartError);
    assertEquals(
      message,
      `Cannot use the token in ${file}: it must have from 1 to 1024 bytes, not ${length}`,
    );
  }
  await Deno.writeFile(file, new Uint8Array([0x61, 0xff]));
  const { message } = await assertRejects(() => readToken({ file }), StartError);
  assertEquals(message, `Cannot read the token from ${file}: it is not UTF-8 text`);
});

Deno.test("readToken() and readTls() name the file that cannot be read, and the cause", async () => {
  using folder = new TempFolder();
  const here = `${folder.path}/here`;
  const gone = `${folder.path}/gone\n`;
  await Deno.writeTextFile(here, "PEM");
  const shown = `${folder.path}/gone\\n: no such file`;
  const tokenError = await assertRejects(() => readToken({ file: gone }), StartError);
  assertEquals(tokenError.message, `Cannot read the token from ${shown}`);
  const keyError = await assertRejects(() => readTls({ cert: here, key: gone }), StartError);
  assertEquals(keyError.message, `Cannot read the private key from ${shown}`);
  const caError = await assertRejects(
    () => readTls({ cert: here, key: here, clientCa: gone }),
    StartError,
  );
  assertEquals(
    caError.message,
    `Cannot read the certificate authority for clients from ${shown}`,
  );
  const folderError = await assertRejects(
    () => readTls({ cert: folder.path, key: here }),
    StartError,
  );
  assertMatch(folderError.message, /^Cannot read the certificate from /);
});

Deno.test("readTls() returns the texts of the files", async () => {
  using folder = new TempFolder();
  for (const name of ["cert", "key", "ca"]) {
    await Deno.writeTextFile(`${folder.path}/${name}`, name);
  }
  const [cert, key, clientCa] = ["cert", "key", "ca"].map((name) => `${folder.path}/${name}`);
  assertEquals(await readTls({ cert: cert!, key: key! }), { cert: "cert", key: "key" });
  assertEquals(await readTls({ cert: cert!, key: key!, clientCa: clientCa! }), {
    cert: "cert",
    key: "key",
    clientCa: "ca",
  });
});
