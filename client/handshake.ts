/**
 * The beginning of a session: the token, dialling, the hello, and the server's replies to it.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { concat } from "@std/bytes/concat";
import type { Address } from "../protocol/address.ts";
import {
  connectError,
  describeConnectError,
  endedError,
  isPermissionError,
} from "./connect_errors.ts";
import { EbsocketError } from "../errors.ts";
import { encodeHello, type Feature, notSupported } from "../protocol/control.ts";
import type { ClientSettings } from "./options.ts";
import type { Destination } from "./port.ts";
import { Session, type SessionListener } from "./session.ts";
import type { SubscriptionManager } from "./subscriptions.ts";
import { checkTokenText, type Token } from "../protocol/token.ts";

/**
 * Connects to `where` and waits for the server's welcome: until `signal` is aborted if it is
 * required, otherwise for a short time.
 *
 * @param where The server's address, path or dialer.
 * @param settings The client's settings.
 * @param subscriptions The client's subscriptions.
 * @param listener Called with the events of the session.
 * @param signal Cancels the attempt.
 * @returns Resolves to the session.
 * @throws {ConnectError} If it cannot connect.
 * @throws {EbsocketError} If the server does not support or refuses something that the client
 * requires.
 * @throws {Deno.errors.NotCapable} Without the required permission.
 */
export async function openSession(
  where: Destination,
  settings: ClientSettings,
  subscriptions: SubscriptionManager,
  listener: SessionListener,
  signal: AbortSignal,
): Promise<Session> {
  const { port, tls } = settings;
  const address = port.addressOf(where);
  try {
    const token = await resolveToken(settings.token, signal);
    const connection = await port.connect(where, tls, signal);
    const session = new Session(connection, settings, subscriptions, listener);
    await greet(session, subscriptions, address, settings, token, signal);
    return session;
  } catch (error) {
    if (isPermissionError(error) || error instanceof EbsocketError) throw error;
    throw connectError(address, signal.aborted ? signal.reason : error);
  }
}

/**
 * Resolves to the text of a token. Rejects if its function rejects or returns an invalid token, or
 * if `signal` is aborted.
 */
export async function resolveToken(
  token: Token | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  signal.throwIfAborted();
  if (typeof token !== "function") return token;
  return checkTokenText(await abortable(Promise.resolve(token()), signal));
}

/** Sends the hello and waits for all required replies. */
async function greet(
  session: Session,
  subscriptions: SubscriptionManager,
  address: Address,
  settings: ClientSettings,
  token: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { limits, wantsAcks, wantsSequence, wantsHistory, needsWelcome = false, producer } =
    settings;
  const { connection, window } = session;
  const { lines, confirmed } = subscriptions.begin(session);
  session.needsWelcome ||= needsWelcome || wantsSequence || wantsHistory || token !== undefined ||
    lines.length > 0;
  try {
    const keepAliveMs = Math.max(limits.keepAliveInterval, connection.minKeepAliveMs ?? 0);
    const hello = encodeHello({
      ...(token !== undefined && { token }),
      ...(Number.isFinite(keepAliveMs) && { keepAliveMs }),
      ack: wantsAcks,
      sequence: wantsSequence,
      ...(window !== null && { window }),
      cluster: true,
      offsets: wantsHistory,
      ...(producer && { producer }),
    });
    // In one write, so that the relay knows the subscriptions before anything else happens.
    connection.send(concat([hello, ...lines]), 0);
    await waitForWelcome(session, address, settings.welcomeTimeout, signal);
    if (wantsSequence) requireFeature(session, "sequence");
    if (wantsHistory) requireFeature(session, "history");
    if (confirmed) {
      requireFeature(session, "subscribe");
      await abortable(confirmed, signal).catch((error: unknown) => {
        throw session.info ? endedError(address, session.info) : error;
      });
    }
    session.isReady = true;
  } catch (error) {
    connection.abort();
    throw error;
  }
}

/**
 * Waits until the server has sent its welcome, or the time for an optional welcome is over. Rejects
 * if the connection ends first.
 */
async function waitForWelcome(
  session: Session,
  address: Address,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  const { promise: waitedEnough, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    if (!session.needsWelcome) resolve();
  }, timeout);
  try {
    await abortable(Promise.race([session.answered, waitedEnough]), signal);
  } catch (error) {
    const why = `${describeConnectError(error)}; the connection was made, but no welcome has come`;
    throw connectError(address, new Error(why, { cause: error }));
  } finally {
    clearTimeout(timer);
  }
  const { info } = session;
  // A server without a welcome may have sent all its events by now.
  const isDone = !session.needsWelcome && session.hasSentEvents && info?.reason === "eof";
  if (info && !session.isGreeted && !isDone) throw endedError(address, info);
}

function requireFeature(session: Session, feature: Feature): void {
  if (!session.has(feature)) throw notSupported(feature, "connect as asked");
}
