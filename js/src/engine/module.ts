import type * as Fs from "node:fs";

import { TorqueError } from "../error.js";
import { builtin, isNode } from "../platform.js";

/** The modules by whether they have introductions. */
const compiled = new Map<boolean, Promise<WebAssembly.Module>>();

/**
 * The core's module, with introductions or without, compiled once. Rejects with a {@link TorqueError} that says what stands in its way. In
 * Node, where nothing is loaded over a network, there is the one with introductions only.
 */
export function compile(introductions: boolean): Promise<WebAssembly.Module> {
  const which = introductions || isNode;
  const module = compiled.get(which) ?? load(which);
  compiled.set(which, module);
  module.catch(() => compiled.delete(which));
  return module;
}

function load(introductions: boolean): Promise<WebAssembly.Module> {
  return read(introductions).then(async (bytes) => {
    try {
      return await WebAssembly.compile(bytes);
    } catch (error) {
      // Neither the class of the error nor an event says so where it is not a page.
      if (!/content security|\bcsp\b/i.test(String(error))) throw error;
      throw new TorqueError("blocked_by_csp", "the Content-Security-Policy of this page forbids WebAssembly: add 'wasm-unsafe-eval' to its script-src");
    }
  });
}

/** The file beside this one, as a rule; where a bundler has left it behind, the copy that is a program. */
async function read(introductions: boolean): Promise<BufferSource> {
  const found = await readFile(introductions).catch(() => undefined);
  if (found && isModule(found)) return found;
  try {
    const { module } = introductions ? await import("./inline_introductions.js") : await import("./inline.js");
    return Uint8Array.from(atob(module), (character) => character.charCodeAt(0));
  } catch (error) {
    const [file, copy] = introductions ? ["core-introductions.wasm", "inline_introductions.js"] : ["core.wasm", "inline.js"];
    throw new TorqueError(
      "core_missing",
      `neither ${file} nor engine/${copy} is found beside this package's other files (${String(error)}): serve all of its folder dist`,
    );
  }
}

async function readFile(introductions: boolean): Promise<Uint8Array<ArrayBuffer>> {
  // In this form bundlers see that they are separate files.
  const url = introductions ? new URL("../core-introductions.wasm", import.meta.url) : new URL("../core.wasm", import.meta.url);
  if (url.protocol === "file:") return new Uint8Array(builtin<typeof Fs>("node:fs").readFileSync(url));
  const response = await fetch(url);
  // Not every server knows the type of a .wasm file, which the streaming way insists on.
  return response.ok ? new Uint8Array(await response.arrayBuffer()) : new Uint8Array();
}

/** Returns whether the bytes begin as a module does: servers of single-page applications answer everything with a page. */
function isModule(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 4)) === "\0asm";
}
