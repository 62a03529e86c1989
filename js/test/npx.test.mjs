// The gateway as npm packages: packed, installed into a fresh folder, run by npx.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { promisify } from "node:util";

import { openPage, root, startHost, startSite, temporaryFolder } from "./harness.mjs";

const run = promisify(execFile);
/** Where `cargo xtask npm-gateway` puts them. */
const packages = process.env.TORQUE_NPM ?? join(root, "target", "npm");
const platform = `torque-gateway-${process.platform}-${process.arch}`;

/** A fresh folder in which these packages are installed. */
async function install(t, names) {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "fresh", private: true }));
  const tarballs = [];
  for (const name of names) {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: join(packages, name) });
    tarballs.push(join(folder, Object.values(JSON.parse(stdout))[0].filename));
  }
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...tarballs], { cwd: folder });
  return folder;
}

test("npx torque-gateway runs the gateway, a page has a session there, and a signal ends it", async (t) => {
  const folder = await install(t, [platform, "torque-gateway"]);
  const { stdout } = await run("npx", ["torque-gateway", "--help"], { cwd: folder });
  assert.match(stdout, /--allow-target/);

  const host = await startHost(t);
  const program = join(folder, "node_modules", ".bin", "torque-gateway");
  const options = ["--json", "--development", "--listen", "localhost:0", "--drain", "0", "--allow-target", host.address];
  const gateway = spawn(program, options, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => gateway.once("exit", (code, signal) => resolve({ code, signal })));
  t.after(() => gateway.kill("SIGKILL"));
  const url = await new Promise((resolve) => {
    createInterface({ input: gateway.stdout }).on("line", (line) => {
      const told = JSON.parse(line);
      if (told.event === "listening") resolve(told.url);
    });
  });
  const page = await openPage(t, await startSite(t));
  const verdict = await page.evaluate(
    async ([bind, url]) => (await torque.TorqueSocket.connect(url, { bind })).send("hello"),
    [url, host.url],
  );
  assert.equal(verdict, "delivered");
  gateway.kill("SIGTERM");
  assert.deepEqual(await ended, { code: 0, signal: null }, "a gateway that is asked to end has done what it should");
  await assert.rejects(fetch(url), "it has ended, and not only what started it");
});

test("without the package of this platform it says what to do", async (t) => {
  const folder = await install(t, ["torque-gateway"]);
  const failure = await run("npx", ["torque-gateway", "--help"], { cwd: folder }).catch((error) => error);
  assert.equal(failure.code, 1);
  assert.match(failure.stderr, new RegExp(`${platform} is not installed.*optional.*cargo install`));
});
