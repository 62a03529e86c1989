// The package as it is published: which of its files a page loads, and fresh projects that have installed it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { promisify } from "node:util";

import { openPage, root, startGateway, startHost, startSite, temporaryFolder } from "./harness.mjs";

const run = promisify(execFile);
const js = join(root, "js");

/** Something in the package's own `node_modules`. */
export const packageTool = (...path) => join(js, "node_modules", ...path);

/**
 * The files that a page with a `TorqueSocket` loads, by their names in `folder`, the package's `dist`: the class, the worker, and
 * the module; with introductions a larger one, and their part of the class.
 */
export async function loadedByPage(folder, module = "core.wasm") {
  const loaded = new Set(["index.js", "engine/worker.js", module]);
  const own = (await readdir(join(folder, "engine"))).find((name) => /^introductions-.*\.js$/.test(name));
  if (module === "core-introductions.wasm") loaded.add(`engine/${own}`);
  for (const name of loaded) {
    if (/^(index\.js|engine\/(chunk|introductions)-.*)$/.test(name)) {
      const program = await readFile(join(folder, name), "utf8");
      for (const [, path] of program.matchAll(/(?:from|import)"(\.[^"]+)"/g)) loaded.add(posix.join(posix.dirname(name), path));
    }
  }
  return [...loaded].sort();
}

/** A fresh project of these files with the package installed from its tarball. */
export async function project(t, files) {
  const folder = await temporaryFolder(t);
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: js });
  const [packed] = Object.values(JSON.parse(stdout));
  const manifest = { name: "fresh", private: true, type: "module" };
  for (const [name, content] of Object.entries({ "package.json": JSON.stringify(manifest), ...files })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(folder, packed.filename)], { cwd: folder });
  return { folder, packed };
}

/** Says something over a connection, and shows the echo. */
export const exchange = `
import { TorqueSocket } from "torque-socket";

export async function exchange(url, options = {}) {
  const connection = await TorqueSocket.connect(url, options);
  const verdict = await connection.send("hello from a fresh project");
  for await (const packet of connection) {
    connection.close();
    return { verdict, echo: new TextDecoder().decode(packet) };
  }
}
`;
export const expected = { verdict: "delivered", echo: "hello from a fresh project" };

/** Runs `exchange` in the page of this folder, which is served at /app/. */
export async function exchangeInPage(t, folder, options = {}) {
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address]);
  const page = await openPage(t, await startSite(t, {}, { "/app/": folder }), "/app/", false);
  await page.waitForFunction(() => globalThis.exchange);
  const seen = await page.evaluate(([url, options]) => exchange(url, options), [host.url, { bind: gateway.url, ...options }]);
  assert.deepEqual(seen, expected);
}
