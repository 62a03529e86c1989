// Firefox as the tests use a browser: started without a screen, spoken to by WebDriver BiDi, with pages that have those of
// Playwright's methods that are used here. Playwright itself knows Firefox builds of its own, and newer ones than Debian's.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import WebSocket from "ws";

import { newFolder } from "./folder.mjs";

/** What a browser that is tested has no use for: requests to its maker, questions to its user. */
const PREFERENCES = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.page": 0,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.getAddons.cache.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.enabled": false,
};

/** Starts the Firefox at `path`. It is stopped by `close`. */
export async function launchFirefox(path) {
  const { folder, remove } = await newFolder();
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
  await writeFile(join(folder, "user.js"), lines.join("\n"));
  const child = spawn(path, ["--headless", "--no-remote", "--profile", folder, "--remote-debugging-port", "0"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, HOME: folder },
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    const said = [];
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      const found = /^WebDriver BiDi listening on (ws:\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
    child.once("error", reject);
    void ended.then((code) => reject(new Error(`${path} ended with ${code}: ${said.join("\n")}`)));
  });
  const bidi = await connect(`${url}/session`);
  await bidi.send("session.new", { capabilities: {} });
  await bidi.send("session.subscribe", { events: ["log.entryAdded"] });
  return {
    async newContext() {
      const { userContext } = await bidi.send("browser.createUserContext", {});
      return {
        async newPage() {
          const { context } = await bidi.send("browsingContext.create", { type: "tab", userContext });
          return new Page(bidi, context, this);
        },
        close: () => bidi.send("browser.removeUserContext", { userContext }),
      };
    },
    async close() {
      child.kill("SIGKILL");
      await ended;
      await remove();
    },
  };
}

/** A page, by some of the names that Playwright's have. */
class Page {
  #bidi;
  #context;
  #browserContext;

  constructor(bidi, context, browserContext) {
    this.#bidi = bidi;
    this.#context = context;
    this.#browserContext = browserContext;
  }

  context() {
    return this.#browserContext;
  }

  /** `console` and `pageerror`, each with an object that has a `text()`. */
  on(event, listener) {
    const type = { console: "console", pageerror: "javascript" }[event];
    this.#bidi.on("log.entryAdded", (entry) => {
      if (entry.type === type && entry.source.context === this.#context) listener({ text: () => entry.text, toString: () => entry.text });
    });
  }

  goto(url) {
    return this.#bidi.send("browsingContext.navigate", { context: this.#context, url, wait: "complete" });
  }

  reload() {
    return this.#bidi.send("browsingContext.reload", { context: this.#context, wait: "complete" });
  }

  close() {
    return this.#bidi.send("browsingContext.close", { context: this.#context });
  }

  /** Calls a function in the page with what can be written as JSON, and gives what it returns, the same way. */
  async evaluate(act, argument) {
    const { type, result, exceptionDetails } = await this.#bidi.send("script.callFunction", {
      functionDeclaration: `async (json) => JSON.stringify(await (${act})(json === "" ? undefined : JSON.parse(json)))`,
      arguments: [{ type: "string", value: argument === undefined ? "" : JSON.stringify(argument) }],
      target: { context: this.#context },
      awaitPromise: true,
    });
    if (type === "exception") throw new Error(`page.evaluate: ${exceptionDetails.text}`);
    return result.type === "string" ? JSON.parse(result.value) : undefined;
  }

  async waitForFunction(holds, argument) {
    while (!(await this.evaluate(holds, argument))) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A connection by which commands go and events come. */
async function connect(url) {
  const socket = new WebSocket(url);
  const waiting = new Map();
  const listeners = new Map();
  let id = 0;
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.type === "event") return listeners.get(message.method)?.forEach((listener) => listener(message.params));
    const command = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.type === "success") command?.resolve(message.result);
    else command?.reject(new Error(`${command.method}: ${message.error}: ${message.message}`));
  });
  socket.on("close", () => {
    for (const { method, reject } of waiting.values()) reject(new Error(`${method}: the browser has ended`));
    waiting.clear();
  });
  return {
    send: (method, params) =>
      new Promise((resolve, reject) => {
        if (socket.readyState !== WebSocket.OPEN) return reject(new Error(`${method}: the browser has ended`));
        waiting.set(++id, { method, resolve, reject });
        socket.send(JSON.stringify({ id, method, params }));
      }),
    on(event, listener) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(listener);
    },
  };
}
