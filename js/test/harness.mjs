// What the tests stand on: real programs, a real browser, a web server for its pages. Everything ends with its test.

import { spawn } from "node:child_process";
import { createReadStream, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { launchFirefox } from "./firefox.mjs";
import { newFolder } from "./folder.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const dist = join(root, "js", "dist");

/** The `torque` command with a gateway in it: `cargo build -p torque-cli --features gateway`. */
const torque = process.env.TORQUE ?? join(root, "target", "debug", "torque");
/** The demo with its arena: `cargo build -p torque-demo --features gateway`. */
export const demoPath = process.env.TORQUE_DEMO ?? join(root, "target", "debug", "torque-demo");
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** In which browser pages are opened: `chromium` or `firefox`. */
export const browserName = process.env.BROWSER ?? "chromium";

/** Starts `torque` with `--json`; it is stopped when the test `t` is over. */
export function startTorque(t, ...args) {
  return startProgram(t, torque, ...args);
}

/** Starts the program at `path` with `--json`; it is stopped when the test `t` is over. */
export async function startProgram(t, path, ...args) {
  if (!existsSync(path)) throw new Error(`${path} is missing: cargo xtask test --only pages builds it`);
  const child = spawn(path, ["--json", ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const lines = [];
  const waiting = new Set();
  let errors = "";
  child.stderr.on("data", (data) => (errors += data));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line);
    lines.push(event);
    for (const look of [...waiting]) look(event);
  });
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  const program = {
    lines,
    pid: child.pid,
    ended,
    input: child.stdin,
    /** The first line for which `match` holds, past or future. */
    line(match, what = "a line", time = 15_000) {
      const found = lines.find(match);
      if (found) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => fail(`no ${what} within ${time} ms`), time);
        const look = (event) => {
          if (!match(event)) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(event);
        };
        const fail = (text) => reject(new Error(`${path} ${args.join(" ")}: ${text}\n${JSON.stringify(lines)}\n${errors}`));
        waiting.add(look);
        void ended.then((code) => fail(`ended with ${code}`));
      });
    },
    /** Ends it by a signal of its own choice, and waits. */
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    },
  };
  t.after(async () => {
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await program.stop("SIGINT");
    clearTimeout(timer);
  });
  return program;
}

/** A native host that echoes. */
export async function startHost(t, ...args) {
  const host = await startTorque(t, "host", "--bind", "127.0.0.1:0", ...args);
  const { url, address, public_key } = await host.line((line) => line.event === "listening", "address");
  return Object.assign(host, { url, address, publicKey: public_key, port: Number(address.split(":").pop()) });
}

/** A gateway in development, which lets pages reach `targets`. */
export async function startGateway(t, targets, ...args) {
  const list = targets.flatMap((target) => ["--allow-target", target]);
  const place = args.includes("--listen") ? [] : ["--listen", "localhost:0"];
  const drain = args.includes("--drain") ? [] : ["--drain", "1"];
  const gateway = await startTorque(t, "gateway", "--development", ...drain, ...place, ...list, ...args);
  const { url, public_key, addresses } = await gateway.line((line) => line.event === "listening", "address");
  return Object.assign(gateway, { url, publicKey: public_key, port: Number(addresses[0].split(":").pop()) });
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", ".map": "application/json", ".css": "text/css", ".json": "application/json" };

/** A web server with an empty page, the package at /torque-socket/, and pages by their path. */
export async function startSite(t, pages = {}, folders = { "/torque-socket/": dist }, headers = {}) {
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries({ "access-control-allow-origin": "*", ...headers })) response.setHeader(name, value);
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    const page = path === "/" ? "" : pages[path];
    if (page !== undefined) {
      response.setHeader("content-type", path.endsWith(".js") ? "text/javascript" : "text/html");
      return response.end(path.endsWith(".js") ? page : `<!doctype html><title>test</title><link rel=icon href=data:,><body>${page}`);
    }
    const mount = Object.keys(folders).find((mount) => path.startsWith(mount));
    const file = mount && join(folders[mount], path.slice(mount.length) || "index.html");
    if (!file || !existsSync(file)) return response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address();
  return { port, origin: `http://localhost:${port}` };
}

const QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let browserUsers = 0;
let browser;

async function launchBrowser() {
  if (browserName === "firefox") return launchFirefox(process.env.FIREFOX ?? "/usr/bin/firefox-esr");
  return chromium.launch({ executablePath: browserPath, headless: true, args: QUIET });
}

/** The browser, shared by the tests of a file. */
export async function startBrowser(t) {
  browserUsers++;
  browser ??= launchBrowser();
  const started = await browser;
  t.after(async () => {
    if (--browserUsers === 0) {
      browser = undefined;
      await started.close();
    }
  });
  return started;
}

/** A page of a site, with the package loaded as `torque` unless it brings its own; what it says on its console is kept for failures. */
export async function openPage(t, site, path = "/", load = true) {
  const browser = await startBrowser(t);
  const context = await browser.newContext();
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  await page.goto(site.origin + path);
  if (load) await page.evaluate(async () => {
    globalThis.torque = { ...(await import("/torque-socket/index.js")), ...(await import("/torque-socket/draft.js")) };
    globalThis.text = (bytes) => new TextDecoder().decode(bytes);
    globalThis.sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
    /** What a promise is rejected with. */
    globalThis.failure = (promise) => promise.then(() => "no failure", ({ code, message }) => ({ code, message }));
  });
  t.after(async () => {
    await context.close().catch(() => undefined);
    if (said.length > 0) t.diagnostic(`the page said: ${said.join(" | ")}`);
  });
  return Object.assign(page, { said });
}

/**
 * Chromium without anybody attached to its pages: those who attach keep them visible. Opens `url`; `newTab` puts another tab
 * before it.
 */
export async function startPlainBrowser(t, url) {
  const profile = await temporaryFolder(t);
  const child = spawn(browserPath, ["--headless", ...QUIET, "--remote-debugging-port=0", `--user-data-dir=${profile}`, url], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const portFile = join(profile, "DevToolsActivePort");
  for (let tries = 0; !existsSync(portFile); tries++) {
    if (tries > 100) throw new Error(`${browserPath} did not start`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const port = (await readFile(portFile, "utf8")).split("\n")[0];
  return {
    async newTab() {
      const { id } = await (await fetch(`http://127.0.0.1:${port}/json/new?about:blank`, { method: "PUT" })).json();
      await fetch(`http://127.0.0.1:${port}/json/activate/${id}`);
    },
  };
}

/** A folder that is gone after the test. */
export async function temporaryFolder(t) {
  const { folder, remove } = await newFolder();
  t.after(remove);
  return folder;
}

export { dist, root };
