/**
 * Which relays the cluster has: those that have given a sign of life lately and agree with this one
 * on the rules.
 *
 * @module
 */

import { EbsocketError } from "../errors.ts";
import { unrefTimer } from "../net/platform.ts";
import {
  CLUSTER_VERSION,
  type ClusterTerms,
  decodeMessage,
  encodeMessage,
  type LinkHead,
} from "../protocol/cluster.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Backplane, BackplaneSink } from "./backplane.ts";

/** Interval between signs of life, in milliseconds. */
const BEAT_MS = 1000;

/** Number of beats without a sign of life of a relay after which it counts as gone. */
const MAX_SILENT_BEATS = 15;

/**
 * How long a relay that comes waits for the others to answer, in milliseconds: at least that long,
 * and longer while more of them answer.
 */
const QUIET_MS = 250;

/** The longest time that a relay waits for the others to answer, in milliseconds. */
const MAX_JOIN_MS = 5000;

/** Most other relays. */
const MAX_RELAYS = 1024;

/** Most characters of a value of which a fault says that it differs. */
const MAX_VALUE = 80;

/**
 * The terms, in the order in which they are compared. Those of the history come first, since another
 * one has other defaults.
 */
const TERMS = [
  "keepLast", // before `keep`, which contains its patterns
  "keep",
  "maxLineBytes",
  "maxDepth",
  "echo",
  "subscribeFirst",
  "events",
] as const satisfies (keyof ClusterTerms)[];

/** Longest fault that is reported, in characters, and most of them within {@link FAULT_MS}. */
const MAX_FAULT = 300;
const MAX_FAULTS = 100;

/** How long the same fault is not reported again, in milliseconds. */
const FAULT_MS = 60_000;

/** Receives the events in the life of other relays. */
export interface MembersSink {
  /** Called when a relay has come. */
  onCome(relay: string): void;
  /**
   * Called when a relay has gone. `isComplete` is set if none of its events are missing, and `isSilent`
   * if it has not said that it goes.
   */
  onGo(relay: string, isComplete: boolean, isSilent: boolean): void;
  /** Called with each message of a link's stream. */
  onLink(head: LinkHead, part: Uint8Array): void;
  /** Called once a second. */
  onBeat(): void;
  /** Called when messages get through again, or do not any more. */
  onState(isConnected: boolean): void;
  /** Called once if this relay, which has joined, must end because of another one. */
  onMisfit(error: EbsocketError): void;
  /** Called with each fault of the backplane, or of the messages of others, once a minute at most. */
  onFault(fault: string): void;
}

/** The relays of one cluster, as one of them sees it. */
export class Members implements BackplaneSink {
  readonly #id: string;
  readonly #backplane: Backplane;
  readonly #terms: ClusterTerms;
  readonly #sink: MembersSink;
  /** The number of beats without a sign of life of each relay. */
  readonly #silence = new TextMap<number>();
  /** The reported faults, and when they may be reported again; the oldest first. */
  readonly #faults = new TextMap<number>();
  #came = performance.now();
  #lastCame = 0;
  #hasJoined = false;
  /** Why this relay must end, or `null`. */
  #misfit: EbsocketError | null = null;
  #hasLeft = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(id: string, backplane: Backplane, terms: ClusterTerms, sink: MembersSink) {
    this.#id = id;
    this.#backplane = backplane;
    this.#terms = terms;
    this.#sink = sink;
  }

  /**
   * Joins the cluster. Resolves when the relays that are there have probably all answered.
   *
   * @throws {EbsocketError} If this relay has a history, and one of them has other terms.
   */
  async join(): Promise<void> {
    await this.#backplane.join(this.#id, this);
    if (this.#hasLeft) return;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    unrefTimer(this.#timer);
    this.#came = this.#lastCame = performance.now();
    this.#announce(true);
    const end = this.#lastCame + MAX_JOIN_MS;
    let wait: number;
    while (
      (wait = Math.min(this.#lastCame + QUIET_MS, end) - performance.now()) > 0 && !this.#hasLeft
    ) {
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    this.#hasJoined = true;
    if (this.#misfit && !this.#hasLeft) throw this.#misfit;
  }

  /** Leaves the cluster. */
  async leave(hasRest: boolean): Promise<void> {
    this.#hasLeft = true;
    clearInterval(this.#timer);
    this.#backplane.announce(encodeMessage({ control: "bye", relay: this.#id, hasRest }));
    await this.#backplane.close();
  }

  onMessage(message: Uint8Array): void {
    if (this.#hasLeft) return;
    const decoded = decodeMessage(message);
    if (!decoded) return this.onFault("a message is not from a relay");
    const { head, part } = decoded;
    const { relay } = head;
    if (relay === this.#id) return;
    if (head.control === "bye") return this.#remove(relay, !head.hasRest, false);
    if (head.control === "link") {
      // A link that is not expected is answered once the relay has said that it is here.
      if (!this.#silence.has(relay)) return;
      this.#silence.set(relay, 0);
      return this.#sink.onLink(head, part);
    }
    if (head.isNew) this.#announce(false); // also to one that differs, so that it notices
    const fault = this.#faultOf(head.version, head.terms);
    if (fault) return this.#refuse(`relay ${relay} cannot be joined: ${fault}`, head.upMs);
    const isNew = !this.#silence.has(relay);
    if (isNew && this.#silence.size >= MAX_RELAYS) {
      return this.onFault(`there are more than ${MAX_RELAYS} other relays; the rest is ignored`);
    }
    this.#silence.set(relay, 0);
    if (!isNew) return;
    this.#lastCame = performance.now();
    this.#sink.onCome(relay);
  }

  /** Returns how a relay differs from this one, or an empty string. */
  #faultOf(version: number, terms: ClusterTerms): string {
    if (version !== CLUSTER_VERSION) {
      return `it speaks version ${version}, this one ${CLUSTER_VERSION}; start both with the same`;
    }
    if (!terms.keep !== !this.#terms.keep) {
      const histories = terms.keep
        ? "a history, this one has none"
        : "no history, this one has one";
      return `it has ${histories}; start both with the same`;
    }
    const differing = TERMS.find((name) => !isEqual(terms[name], this.#terms[name]));
    if (differing === undefined) return "";
    const [theirs, ours] = [terms, this.#terms].map((each) =>
      JSON.stringify(each[differing]).slice(0, MAX_VALUE)
    );
    return `its ${differing} is ${theirs}, here it is ${ours}; start both with the same`;
  }

  /**
   * Stays apart from a relay that differs. With a history, both would use the same stream without
   * knowing of each other, so the one that has come later must end.
   */
  #refuse(fault: string, upMs: number): void {
    if (!this.#terms.keep || this.#upMs > upMs) return this.onFault(fault);
    if (this.#misfit) return;
    const message = `Cannot join the cluster: ${fault}, or choose another --cluster-name`;
    this.#misfit = new EbsocketError("cluster-terms", message);
    if (this.#hasJoined) this.#sink.onMisfit(this.#misfit);
  }

  /** How long this relay has been there, in milliseconds. */
  get #upMs(): number {
    return Math.floor(performance.now() - this.#came);
  }

  onFault(text: string): void {
    const fault = text.slice(0, MAX_FAULT);
    const now = performance.now();
    for (const [known, until] of this.#faults) if (until <= now) this.#faults.delete(known);
    if (this.#faults.has(fault) || this.#faults.size >= MAX_FAULTS) return;
    this.#faults.set(fault, now + FAULT_MS);
    this.#sink.onFault(fault);
  }

  onConnect(): void {
    // The others may have said much meanwhile, so nobody is held to be silent.
    for (const [relay] of this.#silence) this.#silence.set(relay, 0);
    this.#announce(true);
    this.#sink.onState(true);
  }

  onDisconnect(): void {
    this.#sink.onState(false);
  }

  /** Counts beats and not time: a process that stood still has not heard the others. */
  #beat(): void {
    if (this.#backplane.isConnected) {
      this.#announce(false);
      for (const [relay, beats] of this.#silence) {
        if (beats >= MAX_SILENT_BEATS) this.#remove(relay, false, true);
        else this.#silence.set(relay, beats + 1);
      }
    }
    this.#sink.onBeat();
  }

  #remove(relay: string, isComplete: boolean, isSilent: boolean): void {
    if (this.#silence.delete(relay)) this.#sink.onGo(relay, isComplete, isSilent);
  }

  #announce(isNew: boolean): void {
    const version = CLUSTER_VERSION;
    const relay = this.#id;
    const here = { control: "here", relay, version, upMs: this.#upMs, terms: this.#terms } as const;
    this.#backplane.announce(encodeMessage({ ...here, isNew }));
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
