#!/usr/bin/env node
// Runs `torque gateway` as it was built for this platform: a package of its own, of which npm installs the one that fits.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const name = `torque-gateway-${process.platform}-${process.arch}`;

function program() {
  try {
    return createRequire(import.meta.url).resolve(`${name}/${process.platform === "win32" ? "torque.exe" : "torque"}`);
  } catch {
    console.error(
      `torque-gateway: the package ${name} is not installed. Either npm was told to leave optional dependencies out ` +
        "(--omit=optional, or a lock file made on another system), or there is none for this platform: then build it, " +
        "cargo install --locked torque-cli --features gateway, and run torque gateway",
    );
    process.exit(1);
  }
}

const child = spawn(program(), ["gateway", ...process.argv.slice(2)], { stdio: "inherit" });
child.once("error", (error) => {
  console.error(`torque-gateway: ${error.message}`);
  process.exit(1);
});
// Ctrl-C goes to both, and a second signal would end the gateway at once; what is sent to this process alone is handed on.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.once("exit", (code, signal) => {
  for (const handled of ["SIGINT", "SIGTERM"]) process.removeAllListeners(handled);
  if (signal) process.kill(process.pid, signal);
  else process.exit(code);
});
