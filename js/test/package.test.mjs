// The package as people get it: packed, installed into fresh projects, built and run there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { startHost } from "./harness.mjs";
import { exchange, exchangeInPage, expected, loadedByPage, packageTool as tool, project } from "./project.mjs";

const run = promisify(execFile);
/** What a page may load at most, without introductions and with them, in bytes, each file gzipped: what it is, and 1 % for other versions of the compilers. */
const LIMITS = { "core.wasm": 176_000, "core-introductions.wasm": 245_500 };

test("what is packed is what is meant to be, and small", async (t) => {
  const { folder, packed } = await project(t, {});
  const names = packed.files.map(({ path }) => path);
  for (const name of ["dist/index.js", "dist/index.d.ts", "dist/index.js.map", "dist/core.wasm", "dist/core-introductions.wasm", "dist/draft.js", "dist/draft.d.ts", "dist/engine/worker.js", "dist/engine/inline.js", "dist/engine/inline_introductions.js", "src/index.ts", "README.md", "LICENSE-MIT", "LICENSE-APACHE"]) {
    assert.ok(names.includes(name), `${name} in ${names.join(" ")}`);
  }
  assert.ok(!names.some((name) => /test|node_modules|demo/.test(name)), names.join(" "));
  const dist = join(folder, "node_modules", "torque-socket", "dist");
  for (const [module, limit] of Object.entries(LIMITS)) {
    let size = 0;
    for (const name of await loadedByPage(dist, module)) size += gzipSync(await readFile(join(dist, name)), { level: 9 }).length;
    t.diagnostic(`a page loads ${(size / 1_000).toFixed(1)} kB gzipped, with ${module}`);
    assert.ok(size < limit, `${size} bytes are more than ${limit}`);
  }
});

test("Node: ES modules", async (t) => {
  const host = await startHost(t);
  const main = `import { exchange } from "./exchange.js";\nconsole.log(JSON.stringify(await exchange(process.argv[2])));`;
  const { folder } = await project(t, { "exchange.js": exchange, "main.js": main });
  const { stdout } = await run("node", ["main.js", host.url], { cwd: folder, timeout: 30_000 });
  assert.deepEqual(JSON.parse(stdout), expected);
});

/** Settings of programs that check every declared type: Node's, and a page's, neither of which asks for what is newer than ES2022. */
const PROJECTS = {
  "Node, nodenext": { module: "nodenext", lib: ["es2022"], types: ["node"], typeRoots: [tool("@types")] },
  "Node with the types of pages and await using": { module: "nodenext", lib: ["es2022", "esnext.disposable", "dom"], types: ["node"], typeRoots: [tool("@types")] },
  "a page, bundler": { module: "esnext", moduleResolution: "bundler", lib: ["es2022", "dom"], types: [] },
};

for (const [name, options] of Object.entries(PROJECTS)) {
  test(`TypeScript: strict, with every declared type checked (${name})`, async (t) => {
    const host = await startHost(t);
    const source = `
import { type ConnectRequest, TorqueConnection, TorqueSocket, TorqueError, type ConnectionFigures, type ErrorCode, type SocketOptions, type Trust, type Verdict } from "torque-socket";
import { DraftSocket } from "torque-socket/draft";

export async function meet(socket: TorqueSocket, lobby: TorqueConnection, number: number): Promise<[ConnectRequest, TorqueConnection]> {
  socket.onintroduced = ({ introduction, host, result }) => console.log(introduction, host.number, result === "became_direct");
  const id: string = await socket.introduce(lobby, lobby, { relay: { bytesPerSecond: 1 } });
  new DraftSocket({ introductions: { introduces: true } }).connect_introduced(1, number, true, id, "", { direct: false });
  // @ts-expect-error There is no such word.
  void socket.connectIntroduced(lobby, number, { trust: "anyone", relay: "sometimes" });
  return [await socket.connectIntroduced(lobby, number, { isHost: true }), await socket.connectIntroduced(lobby, number, { trust: "anyone", relay: "at-once" })];
}

export async function exchange(url: string): Promise<unknown> {
  const options: SocketOptions = { settings: "window=64", simulatedLink: { delay: 1 } };
  await using socket = new TorqueSocket(options);
  new DraftSocket().on_close = (id: number, reason: Uint8Array, { code }) => {
    const known: ErrorCode = code;
    if (known === "shutting_down") return;
    // @ts-expect-error There is no such code.
    if (known === "shuting_down") throw new Error(String(id + reason.length));
  };
  try {
    const trust: Trust = ({ publicKey }) => url.includes(publicKey);
    const connection = await socket.connect(url, { trust, connectData: "hi", signal: AbortSignal.timeout(20_000) });
    const verdict: Verdict = await connection.send("hello from a fresh project");
    const stats: ConnectionFigures | undefined = await connection.getStats();
    if (stats === undefined || connection.window !== 64) throw new Error("another window");
    for await (const packet of connection) return { verdict, echo: new TextDecoder().decode(packet) };
    return undefined;
  } catch (error) {
    if (error instanceof TorqueError && error.code === "no_answer") return "nobody is there";
    throw error;
  }
}
`;
    const config = { compilerOptions: { target: "es2022", strict: true, skipLibCheck: false, outDir: "out", ...options }, files: ["exchange.ts"] };
    const { folder } = await project(t, { "exchange.ts": source, "tsconfig.json": JSON.stringify(config) });
    await run("node", [tool("typescript", "bin", "tsc"), "-p", "."], { cwd: folder }).catch(({ stdout }) => assert.fail(stdout));
    const main = `import("./out/exchange.js").then(({ exchange }) => exchange("${host.url}")).then((seen) => console.log(JSON.stringify(seen)))`;
    const { stdout } = await run("node", ["--eval", main], { cwd: folder, timeout: 30_000 });
    assert.deepEqual(JSON.parse(stdout), expected);
  });
}

test("a page without any tool: <script type=module> and an import map", async (t) => {
  const html = `<!doctype html><link rel=icon href=data:,>
<script type="importmap">{ "imports": { "torque-socket": "/app/node_modules/torque-socket/dist/index.js" } }</script>
<script type="module">import { exchange } from "./exchange.js"; globalThis.exchange = exchange;</script>`;
  const { folder } = await project(t, { "index.html": html, "exchange.js": exchange });
  await exchangeInPage(t, folder);
});
