/**
 * Decides by the names of events what a history keeps of them.
 *
 * @module
 */

import { NameFilter } from "../history/name_filter.ts";
import type { HistoryRules } from "../history/options.ts";
import { REST } from "../protocol/pattern.ts";
import type { Recipient } from "../server/subscriber_group.ts";
import type { Keeping, Route } from "./route_cache.ts";

/** The names of the events that a history keeps. */
export class KeepFilter {
  /** Whether names do not matter, because all events are kept and none for longer. */
  readonly takesAll: boolean;
  readonly #kept: NameFilter;
  readonly #lastKept: NameFilter;

  constructor({ keep, keepLast }: Pick<HistoryRules, "keep" | "keepLast">) {
    this.takesAll = keep.includes(REST) && keepLast.length === 0;
    this.#kept = new NameFilter(keep);
    this.#lastKept = new NameFilter(keepLast);
  }

  /** Returns what the history does with events of a name. */
  keepingOf<R extends Recipient>(route: Route<R>): Keeping {
    return route.keeping ??= this.#find(route.name);
  }

  #find(name: string): Keeping {
    if (this.#lastKept.matches(name)) return "last";
    return this.#kept.matches(name) ? "kept" : "never";
  }
}
