/**
 * An event as a person writes it into a form: its check, and its line.
 *
 * @module
 */

/**
 * Returns why a text is not the attributes of an event, as a sentence for a person. Empty if it is
 * valid. No text at all stands for no attributes.
 */
export function faultOfAttributes(text: string): string {
  if (text.trim() === "") return "";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `This is not JSON: ${error instanceof Error ? error.message : error}`;
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? "" : 'Attributes are an object, such as {"content":"hi"}';
}

/** Returns the line of an event, with its valid attributes as written. */
export function lineOf(name: string, attributes: string): Uint8Array {
  // JSON allows line breaks between values, but not within one.
  const json = attributes.trim().replaceAll(/[\r\n]/g, " ");
  const dict = json === "" ? "" : `,"__dict__":${json}`;
  return new TextEncoder().encode(`{"event":${JSON.stringify(name)}${dict}}\n`);
}
