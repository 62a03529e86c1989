import type * as Fs from "node:fs";

import { TorqueError } from "../error.js";
import { builtin } from "../platform.js";

let compiled: Promise<WebAssembly.Module> | undefined;

/** The core's module, compiled once. Rejects with a {@link TorqueError} that says what stands in its way. */
export function compile(): Promise<WebAssembly.Module> {
  compiled ??= read().then(async (bytes) => {
    try {
      return await WebAssembly.compile(bytes);
    } catch (error) {
      // Neither the class of the error nor an event says so where it is not a page.
      if (!/content security|\bcsp\b/i.test(String(error))) throw error;
      throw new TorqueError("blocked_by_csp", "the Content-Security-Policy of this page forbids WebAssembly: add 'wasm-unsafe-eval' to its script-src");
    }
  });
  compiled.catch(() => { compiled = undefined; });
  return compiled;
}

/** The file beside this one, as a rule; where a bundler has left it behind, the copy that is a program. */
async function read(): Promise<BufferSource> {
  const found = await readFile().catch(() => undefined);
  if (found && isModule(found)) return found;
  try {
    const { module } = await import("./inline.js");
    return Uint8Array.from(atob(module), (character) => character.charCodeAt(0));
  } catch (error) {
    throw new TorqueError(
      "core_missing",
      `neither core.wasm nor engine/inline.js is found beside this package's other files (${String(error)}): serve all of its folder dist`,
    );
  }
}

async function readFile(): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL("../core.wasm", import.meta.url);
  if (url.protocol === "file:") return new Uint8Array(builtin<typeof Fs>("node:fs").readFileSync(url));
  const response = await fetch(url);
  // Not every server knows the type of a .wasm file, which the streaming way insists on.
  return response.ok ? new Uint8Array(await response.arrayBuffer()) : new Uint8Array();
}

/** Returns whether the bytes begin as a module does: servers of single-page applications answer everything with a page. */
function isModule(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 4)) === "\0asm";
}
