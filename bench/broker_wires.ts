/**
 * The protocols of the brokers: NATS, Redis (RESP 2) and MQTT 3.1.1 with QoS 0, as far as a client
 * needs them that publishes on one subject or subscribes to it.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { bytesOf, expectBytes, readUntil, type Role, SILENT, type Wire, writeAll } from "./wire.ts";

/** The subject, channel or topic of all events, unless they have one of their own. */
const SUBJECT = "events";

const CRLF = bytesOf("\r\n");

/** `INFO` comes by itself; the server asks each client once for a `PONG`, about 2 s later. */
export const nats: Wire = natsOn(SUBJECT);

function natsOn(subject: string): Wire {
  return {
    ...SILENT,
    async join(connection, role) {
      const subscribe = role === "publisher" ? "" : `SUB ${subject} 1\r\n`;
      const hello = `CONNECT {"verbose":false,"pedantic":false}\r\n${subscribe}PING\r\n`;
      await writeAll(connection, bytesOf(hello));
      await readUntil(connection, (text) => text.endsWith("PONG\r\n"));
    },
    async settle(connection) {
      await expectBytes(connection, "PING\r\n");
      await writeAll(connection, bytesOf("PONG\r\n"));
    },
    publish: (event) => concat([bytesOf(`PUB ${subject} ${event.length}\r\n`), event, CRLF]),
    deliver: (event) => concat([bytesOf(`MSG ${subject} 1 ${event.length}\r\n`), event, CRLF]),
    on: natsOn,
  };
}

/** A connection that subscribes can do nothing else; each `PUBLISH` is answered with a count. */
export const redis: Wire = redisOn(SUBJECT);

function redisOn(channel: string): Wire {
  return {
    ...SILENT,
    separatePublishers: true,
    async join(connection, role) {
      if (role === "publisher") return;
      await writeAll(connection, resp("SUBSCRIBE", channel));
      await expectBytes(connection, `*3\r\n${bulk("subscribe")}${bulk(channel)}:1\r\n`);
    },
    publish: (event) => resp("PUBLISH", channel, event),
    deliver: (event) => resp("message", channel, event),
    acknowledge: (subscribers) => bytesOf(`:${subscribers}\r\n`),
    on: redisOn,
  };
}

/** An array of bulk strings. */
export function resp(...parts: (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const bytes = parts.map((part) => typeof part === "string" ? bytesOf(part) : part);
  return concat([
    bytesOf(`*${parts.length}\r\n`),
    ...bytes.flatMap((part) => [bytesOf(`$${part.length}\r\n`), part, CRLF]),
  ]);
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

let lastClient = 0;

/** Without keep-alive; a delivery is the packet that was published. */
export const mqtt: Wire = mqttOn(SUBJECT);

function mqttOn(topic: string): Wire {
  return {
    ...SILENT,
    async join(connection, role: Role) {
      await writeAll(connection, mqttConnect(`bench${Deno.pid}-${++lastClient}`, true));
      await expectBytes(connection, "\x20\x02\x00\x00");
      if (role === "publisher") return;
      await writeAll(connection, mqttSubscribe(topic, 0));
      await expectBytes(connection, "\x90\x03\x00\x01\x00");
    },
    publish: (event) => mqttPublish(topic, event),
    deliver: (event) => mqttPublish(topic, event),
    on: mqttOn,
  };
}

/** Connects with MQTT 3.1.1, without keep-alive. */
export function mqttConnect(client: string, isClean: boolean): Uint8Array<ArrayBuffer> {
  const level = new Uint8Array([4, isClean ? 0x02 : 0, 0, 0]);
  return packet(0x10, mqttString("MQTT"), level, mqttString(client));
}

/** Subscribes to one topic, as request 1. */
export function mqttSubscribe(topic: string, qos: 0 | 1): Uint8Array<ArrayBuffer> {
  return packet(0x82, new Uint8Array([0, 1]), mqttString(topic), new Uint8Array([qos]));
}

/** Publishes a message with QoS 0, or with QoS 1 if it has an ID. */
export function mqttPublish(topic: string, event: Uint8Array, id = 0): Uint8Array<ArrayBuffer> {
  if (id === 0) return packet(0x30, mqttString(topic), event);
  return packet(0x32, mqttString(topic), new Uint8Array([id >> 8, id & 255]), event);
}

function packet(type: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = concat(parts);
  return concat([new Uint8Array([type, ...variableLength(body.length)]), body]);
}

/** Seven bits to a byte, the low ones first; the eighth says that more follow. */
function variableLength(length: number): number[] {
  return length < 128 ? [length] : [length % 128 + 128, ...variableLength(length >> 7)];
}

function mqttString(text: string): Uint8Array<ArrayBuffer> {
  return concat([new Uint8Array([text.length >> 8, text.length & 255]), bytesOf(text)]);
}
