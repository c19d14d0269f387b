/**
 * The keys of the page. They do nothing while a person types into a field.
 *
 * @module
 */

/// <reference lib="dom" />

import { byId } from "./dom.ts";

/** The fields that a key leads to. */
const FIELDS: Readonly<Record<string, string>> = { "/": "search", t: "pattern", s: "name" };

/** Handles the keys. `pause` is called for `p`. */
export function handleKeys({ pause }: { readonly pause: () => void }): void {
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isField = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
    if (isField) {
      if (key === "Escape") target.blur();
      return;
    }
    const field = FIELDS[key];
    if (field === undefined && key !== "p") return;
    event.preventDefault();
    if (key === "p") pause();
    else byId<HTMLInputElement>(field!).select();
  });
}
