// The package in what other tools make of it: pages by each bundler, servers, and pages that load it from elsewhere.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { build as esbuild } from "esbuild";

import { root, startHost } from "./harness.mjs";
import { exchange, exchangeInPage, expected, packageTool, project } from "./project.mjs";

const run = promisify(execFile);
const bundlers = join(root, "js", "test", "bundlers");
const fromBundlers = createRequire(join(bundlers, "package.json"));

const main = `import { exchange } from "./exchange.js"; globalThis.exchange = exchange;`;
const html = `<!doctype html><title>test</title><link rel=icon href=data:,><script type="module" src="./main.js"></script>`;

/** What the module without introductions does not take. */
const INTRODUCTIONS = { introductions: { introduces: false } };

/** Each makes the page `folder/out` of `folder/index.html`. */
const BUNDLERS = {
  "webpack 5": async (folder) => {
    const webpack = fromBundlers("webpack");
    const config = { mode: "production", context: folder, entry: "./main.js", output: { path: join(folder, "out"), filename: "main.js", publicPath: "auto" } };
    const stats = await promisify(webpack)(config);
    assert.deepEqual(stats.toJson({ errors: true }).errors, []);
    await cp(join(folder, "index.html"), join(folder, "out", "index.html"));
  },
  "Vite 6": (folder) => vite(join(bundlers, "node_modules", "vite-6"), folder),
  "Vite 7": (folder) => vite(join(bundlers, "node_modules", "vite-7"), folder),
  "Vite 8": (folder) => vite(packageTool("vite"), folder),
  Parcel: async (folder) => {
    const parcel = join(bundlers, "node_modules", "parcel", "lib", "bin.js");
    const options = ["--dist-dir", "out", "--public-url", "./", "--no-cache", "--no-source-maps"];
    // With CI it installs nothing by itself, which would hide what the package lacks.
    await run("node", [parcel, "build", "index.html", ...options], { cwd: folder, env: { ...process.env, CI: "1" } });
  },
  esbuild: async (folder) => {
    await esbuild({ absWorkingDir: folder, entryPoints: ["main.js"], bundle: true, minify: true, format: "esm", outfile: "out/main.js", logLevel: "error" });
    await cp(join(folder, "index.html"), join(folder, "out", "index.html"));
  },
};

async function vite(place, folder) {
  await run("node", [join(place, "bin", "vite.js"), "build", "--base", "./", "--outDir", "out"], { cwd: folder });
}

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  test(`a page made by ${name} connects, in a worker and without one, and with introductions`, async (t) => {
    const { folder } = await project(t, { "index.html": html, "main.js": main, "exchange.js": exchange });
    await bundle(folder);
    // Nothing is found but what the bundler has made.
    await rm(join(folder, "node_modules"), { recursive: true });
    for (const worker of [true, false]) await exchangeInPage(t, join(folder, "out"), { worker });
    await exchangeInPage(t, join(folder, "out"), INTRODUCTIONS);
  });
}

for (const format of ["esm", "cjs"]) {
  test(`a server in one file (esbuild, ${format}) connects`, async (t) => {
    const host = await startHost(t);
    const server = `import { exchange } from "./exchange.js";\nexchange(process.argv[2], ${JSON.stringify(INTRODUCTIONS)}).then((seen) => console.log(JSON.stringify(seen)));`;
    const { folder } = await project(t, { "server.js": server, "exchange.js": exchange });
    const outfile = join(folder, "out", format === "esm" ? "server.mjs" : "server.cjs");
    await esbuild({ absWorkingDir: folder, entryPoints: ["server.js"], bundle: true, platform: "node", format, outfile, logLevel: "error" });
    await rm(join(folder, "node_modules"), { recursive: true });
    const { stdout } = await run("node", [outfile, host.url], { cwd: join(folder, "out"), timeout: 30_000 });
    assert.deepEqual(JSON.parse(stdout), expected);
  });
}
