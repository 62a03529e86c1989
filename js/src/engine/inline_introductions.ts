/** The module with introductions as a text, as in `inline.ts`. `build.mjs` writes what is in it. */

/** The module, in base64. */
export const module: string = "";
