/** A connected client of ours as the programs use it. Runs on Deno and in pages. */

/** The client as the programs use it; `Event` is the class of its events. */
export function clientOf(client, Event) {
  let room;
  return {
    subscribe(_, onEvent) {
      readAll(client, onEvent);
    },
    publish(name, attributes) {
      room = client.sendEvent(new Event(name, attributes));
    },
    flush: () => room,
    async serve(name, toAnswer) {
      answerAll(client, Event, name, toAnswer);
      await client.flush();
    },
    async request(name, attributes) {
      return (await client.request(new Event(name, attributes))).__dict__;
    },
  };
}

async function readAll(client, onEvent) {
  for await (const { event, __dict__ } of client) onEvent(event, __dict__);
}

async function answerAll(client, Event, name, toAnswer) {
  for await (const request of client.serve(name)) {
    await client.reply(request, new Event("answer", toAnswer(request.__dict__)));
  }
}
