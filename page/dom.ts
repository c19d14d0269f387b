/**
 * Short forms for the elements of the page. All text becomes text, and never HTML.
 *
 * @module
 */

/// <reference lib="dom" />

/** Returns the element with an ID, which must be in the page. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  return document.getElementById(id) as E;
}

/** Creates an element with a class and a text. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const created = document.createElement(tag);
  if (className !== "") created.className = className;
  if (text !== "") created.textContent = text;
  return created;
}

/** Sets the text of an element, unless it has that text already. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
