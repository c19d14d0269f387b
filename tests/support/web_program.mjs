// A conversation through client.js, for any runtime with WebSocket: `node web_program.mjs FILE URL`.
// It prints what it has received as lines of JSON.

const [file, url] = process.argv.slice(2);
const { EbsocketClient, EbsocketEvent, EventSchemaError, NoRespondersError } = await import(file);

const worker = new EbsocketClient();
const jobs = worker.serve("jobs.*", { queue: "workers" });
await worker.connectTo(url);
(async () => {
  for await (const job of jobs) await worker.reply(job, "sum", { sum: job.__dict__.a + 1 });
})();

const client = new EbsocketClient({ reconnect: true });
await client.subscribe(["chat.>"]);
await client.connectTo(url);
await client.send("chat.room", { text: "Grüße\u2028\\", list: [1, { a: null }] });
client.sendEvent(new EbsocketEvent("chat.room.more"));
await client.flush();
for (let i = 0; i < 2; i++) {
  const { event, __dict__ } = await client.recvEvent();
  console.log(JSON.stringify([event, __dict__]));
}
console.log(JSON.stringify((await client.request("jobs.add", { a: 1 })).__dict__));
const error = await client.request("nobody").catch((error) => error);
console.log(JSON.stringify([error instanceof NoRespondersError, error.code]));
await client.flush();
console.log(JSON.stringify([client.acknowledgedEvents, (await client.inspect()).clients.length]));
console.log(JSON.stringify([typeof EventSchemaError]));
await worker.drain();
await client.close();
console.log(JSON.stringify([(await worker.closed).reason, (await client.closed).reason]));
