/**
 * The name of the command in all its texts.
 *
 * @module
 */

/** The name of the installed command. */
export const PROGRAM = "ebsockets";

/** The command line that runs it without installing. */
export const RUN = "deno run -A jsr:@ebsockets/relay";

/** The command line that installs it. */
export const INSTALL = `deno install -g -A -n ${PROGRAM} jsr:@ebsockets/relay`;
