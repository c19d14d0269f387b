/** Our client, as its documentation uses it. Runs on Deno. */

import { EbsocketClient, EbsocketEvent } from "../../mod.ts";

/** A client that is connected to a port of 127.0.0.1. */
export async function connect(port) {
  const client = new EbsocketClient();
  await client.connectTo(["127.0.0.1", port]);
  let room;
  return {
    subscribe(_, onEvent) {
      readAll(client, onEvent);
    },
    publish(name, attributes) {
      room = client.sendEvent(new EbsocketEvent(name, attributes));
    },
    flush: () => room,
    async serve(name, toAnswer) {
      answerAll(client, name, toAnswer);
      await client.flush();
    },
    async request(name, attributes) {
      return (await client.request(new EbsocketEvent(name, attributes))).__dict__;
    },
  };
}

async function readAll(client, onEvent) {
  for await (const { event, __dict__ } of client) onEvent(event, __dict__);
}

async function answerAll(client, name, toAnswer) {
  for await (const request of client.serve(name)) {
    await client.reply(request, new EbsocketEvent("answer", toAnswer(request.__dict__)));
  }
}
