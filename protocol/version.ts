/**
 * The version of this package.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };

/** The version of this package, such as `1.2.3`. */
export const VERSION: string = config.version;
