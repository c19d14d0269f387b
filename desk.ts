/**
 * Owns what clients ask of the relay itself, in control lines, and what they are answered. Must not
 * know how events get to the clients.
 *
 * @module
 */

import type { Listener } from "./audience.ts";
import type { EbsocketConnection } from "./connection.ts";
import type { ControlLine } from "./control.ts";
import type { Greeter } from "./greeter.ts";
import type { Hello } from "./greeting.ts";
import type { Inspector } from "./inspector.ts";
import { MAX_CONTROL_BYTES } from "./limits.ts";
import { parseLine } from "./parse.ts";
import { encodeReport } from "./report.ts";
import type { Router } from "./router.ts";
import {
  decodeSubscription,
  encodeReceipt,
  encodeRefusal,
  isName,
  type Refusal,
  type SubscriptionRequest,
} from "./routing.ts";
import { refusalOf } from "./subscriptions.ts";
import { TextSet } from "./text_map.ts";

/** The control lines that mean something here. Others are not even parsed: they may be long. */
const KNOWN = new TextSet(["close", "hello", "subscribe", "unsubscribe", "stats"]);

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

type Client = Listener<EbsocketConnection>;

/** What a desk works with. */
export interface DeskOptions {
  /** Who answers what any server answers. */
  readonly greeter: Greeter;
  /** Who passes events on. */
  readonly router: Router<EbsocketConnection>;
  /** How many subscriptions a client may have. */
  readonly maxSubscriptions: number;
  /** Who finds out how the relay is; `null` if that is told nobody. */
  readonly inspector: Inspector<EbsocketConnection> | null;
}

/** Answers the clients of one relay. */
export class Desk {
  readonly #greeter: Greeter;
  readonly #router: Router<EbsocketConnection>;
  readonly #maxSubscriptions: number;
  readonly #inspector: Inspector<EbsocketConnection> | null;

  /** Makes one that works with these. */
  constructor({ greeter, router, maxSubscriptions, inspector }: DeskOptions) {
    this.#greeter = greeter;
    this.#router = router;
    this.#maxSubscriptions = maxSubscriptions;
    this.#inspector = inspector;
  }

  /** Takes a control line, with its `\n`, and what it is about. What is not known is ignored. */
  onControl(client: Client, control: string, bytes: Uint8Array, hasEscapedKey: boolean): void {
    // Of a client that is going, nothing is answered any more: the rest of its block may be long.
    if (!KNOWN.has(control) || !client.recipient.open) return;
    const length = bytes.length - 1;
    if (length > MAX_CONTROL_BYTES) {
      const detail = `a control line may have ${MAX_CONTROL_BYTES} bytes, this had ${length}`;
      return refuse(client, { reason: "too-long", detail });
    }
    const line = parseLine(decoder.decode(bytes), hasEscapedKey) as ControlLine;
    const wish = decodeSubscription(line);
    if (wish) return "reason" in wish ? refuse(client, wish) : this.#onWish(client, wish);
    if (control === "stats") return this.#onStats(client, line);
    const hello = this.#greeter.onControl(client.recipient, line);
    if (hello) this.onHello(client, hello);
  }

  /** Does what a client wants according to a `hello` that has been answered. */
  onHello(client: Client, { sequence }: Hello): void {
    if (sequence) this.#router.change(client, client.subscriptions, true);
  }

  #onWish(client: Client, wish: SubscriptionRequest): void {
    const after = client.subscriptions.after(wish);
    const refusal = refusalOf(wish, after, this.#maxSubscriptions);
    if (refusal) return refuse(client, refusal);
    this.#router.change(client, after, client.isNumbered);
    if (wish.id !== undefined) client.recipient.send(encodeReceipt({ id: wish.id }), 0);
  }

  #onStats(client: Client, line: ControlLine): void {
    const name = isName(line.id) ? { id: line.id } : {};
    if (line.id !== undefined && !isName(line.id)) {
      const detail = '"id" must be a string of 1 to 255 bytes';
      return refuse(client, { reason: "bad-request", detail });
    }
    if (!this.#inspector) {
      return refuse(client, { ...name, reason: "not-allowed", detail: "the relay tells nobody" });
    }
    client.recipient.send(encodeReport(name.id, this.#inspector.inspect()), 0);
  }
}

function refuse({ recipient }: Client, refusal: Refusal): void {
  recipient.send(encodeRefusal(refusal), 0);
}
