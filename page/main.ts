/**
 * The page of a relay: joins its parts, and passes data to each.
 *
 * @module
 */

/// <reference lib="dom" />

import { printable } from "../protocol/printable.ts";
import { takeSnapshot } from "../protocol/snapshot.ts";
import { byId, setText } from "./dom.ts";
import { Health } from "./health.ts";
import { handleKeys } from "./keys.ts";
import { messageOf } from "./pretty.ts";
import { Link } from "./link.ts";
import { Lists } from "./lists.ts";
import { SendView } from "./send_view.ts";
import { TailView } from "./tail_view.ts";
import { commandOptions } from "./command.ts";
import { describeNoFigures, describeUnauthorized } from "./words.ts";

/** The key of the token in the storage of this tab. */
const TOKEN = "ebsockets-token";

const health = new Health();
const lists = new Lists(() => link.id);
const link: Link = new Link({
  onState(state, words) {
    const shown = byId("state");
    shown.className = state;
    setText(shown, words);
    if (state === "live") ask(null, null);
    if (state === "lost") health.lose(performance.now());
  },
  onUnauthorized(token) {
    sessionStorage.removeItem(TOKEN);
    ask(describeUnauthorized(token), null);
    byId("token").focus();
  },
  onEnd: (why) => ask(null, why),
  onReport(before, after) {
    const snapshot = takeSnapshot(before, after);
    health.show(snapshot, performance.now());
    lists.show(snapshot);
  },
  onNoReport: (code) => setText(byId("health-facts"), describeNoFigures(code)),
  onEvents: (events) => tail.push(events),
});
const tail = new TailView((pattern) => link.follow(pattern), commandOptions(location));
new SendView(link);

/** Asks for a token, for a new attempt, or for nothing. */
function ask(tokenWhy: string | null, endWhy: string | null): void {
  byId("token-form").hidden = tokenWhy === null;
  setText(byId("token-why"), printable(tokenWhy ?? ""));
  byId("notice").hidden = endWhy === null;
  setText(byId("notice-text"), printable(endWhy ?? ""));
}

function connect(): void {
  link.connect(sessionStorage.getItem(TOKEN)).catch((error) => {
    ask(null, `The page cannot work: ${messageOf(error)}`);
  });
}

document.title = `Relay ${location.host}`;
setText(byId("where"), location.host);
byId("search").addEventListener("input", (event) => {
  lists.search((event.target as HTMLInputElement).value);
});
byId("again").addEventListener("click", connect);
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId<HTMLInputElement>("token");
  sessionStorage.setItem(TOKEN, field.value);
  field.value = "";
  ask(null, null);
  connect();
});
handleKeys({ pause: () => tail.togglePause() });
connect();
