/**
 * Owns the two ways in which a command fails before it has begun. Must not know which commands there
 * are.
 *
 * @module
 */

/** A command line that makes no sense: the exit code is 2. */
export class UsageError extends Error {}

/** Something without which the command cannot do its work: the exit code is 1. */
export class StartError extends Error {}
