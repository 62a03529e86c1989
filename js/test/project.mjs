// Fresh projects that have installed the package as it is published.

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { root, temporaryFolder } from "./harness.mjs";

const run = promisify(execFile);
const js = join(root, "js");

/** Something in the package's own `node_modules`. */
export const packageTool = (...path) => join(js, "node_modules", ...path);

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
  const delivered = await connection.send("hello from a fresh project");
  for await (const packet of connection) {
    connection.close();
    return { delivered, echo: new TextDecoder().decode(packet) };
  }
}
`;
export const expected = { delivered: true, echo: "hello from a fresh project" };
