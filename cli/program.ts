/**
 * Owns what the command is called in everything that it says. Must not know what it does.
 *
 * @module
 */

/** Its name once it is installed. */
export const PROGRAM = "ebsockets";

/** How it is run without that. */
export const RUN = "deno run -A jsr:@ebsockets/relay";

/** How it is installed under its name. */
export const INSTALL = `deno install -g -A -n ${PROGRAM} jsr:@ebsockets/relay`;
