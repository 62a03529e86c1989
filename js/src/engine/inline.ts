/**
 * The worker and the core's module as texts, for where they are not found as files: bundlers that do not know
 * `new URL("…", import.meta.url)`, pages that load this package from another origin. `build.mjs` writes what is in it.
 */

/** The program of the worker. */
export const worker: string = "";
/** The module, in base64. */
export const module: string = "";
