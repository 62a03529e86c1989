// Node: strangers, peers and names that mean no good, or come to nothing, and how sockets end in spite of them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import dgram from "node:dgram";
import dns from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { Core, DraftSocket, Scheduler, TorqueSocket } from "../dist/engine/testing.js";
import { sleep, text } from "./sockets.mjs";

// The UDP sockets of the sockets under test, the last one last: what comes from forged sources is handed in there.
const opened = [];
const { createSocket } = dgram;
dgram.createSocket = (...all) => {
  const socket = createSocket(...all);
  opened.push(socket);
  return socket;
};
const { lookup } = dns;
dns.lookup = async (host, options) => {
  if (host !== "two.example") return lookup(host, options);
  return [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }];
};
syncBuiltinESMExports();

/** A host that accepts everybody, and its UDP socket. */
async function startHost(t, options = {}) {
  const host = new DraftSocket({ bind: "127.0.0.1:0", ...options });
  t.after(() => host.shutdown());
  host.on_connect_request = (id) => host.accept_connection(id);
  await host.bind();
  return Object.assign(host, { udp: opened.at(-1) });
}

/** The first datagram of somebody who connects. */
async function challengeRequest(t) {
  const silent = createSocket("udp4");
  t.after(() => silent.close());
  await new Promise((resolve) => silent.bind(0, "127.0.0.1", resolve));
  const heard = new Promise((resolve) => silent.once("message", resolve));
  const socket = new TorqueSocket({ bind: "127.0.0.1:0" });
  void socket.connect(`torque://127.0.0.1:${silent.address().port}`, { trust: "anyone" }).catch(() => undefined);
  const datagram = await heard;
  await socket.shutdown();
  return datagram;
}

/** What keeps the process alive. */
const resources = () => process.getActiveResourcesInfo().filter((name) => /UDP|Timeout|Immediate/.test(name)).length;

test("a forged source that cannot be answered is passed over", async (t) => {
  const datagram = await challengeRequest(t);
  const host = await startHost(t);
  host.udp.emit("message", datagram, { address: "127.0.0.1", port: 0, family: "IPv4", size: datagram.length });
  await sleep(50);
  const stats = await host.get_stats();
  assert.equal(stats.challenges_answered, 0, JSON.stringify(stats));
});

test("a socket that refuses to send loses a datagram, and nothing else", async (t) => {
  const host = await startHost(t);
  const connection = await TorqueSocket.connect(host.url, { bind: "127.0.0.1:0" });
  const client = opened.at(-1);
  const uncaught = [];
  const listen = (error) => uncaught.push(error);
  process.on("uncaughtException", listen);
  t.after(() => process.off("uncaughtException", listen));
  const { send } = client;
  client.send = () => {
    client.send = send;
    throw new Error("not now");
  };
  assert.equal(await connection.send("lost"), "dropped");
  assert.equal(await connection.send("sent"), "delivered");
  assert.deepEqual(uncaught, []);
  await connection[Symbol.asyncDispose]();
});

test("strangers without number push nobody out", async (t) => {
  const host = await startHost(t);
  const connection = await TorqueSocket.connect(host.url, { bind: "127.0.0.1:0" });
  const junk = Buffer.of(0);
  for (let n = 0; n < 70_000; n++) {
    host.udp.emit("message", junk, { address: `10.0.${n >> 8 & 255}.${n & 255}`, port: 1 + (n >> 16), family: "IPv4", size: 1 });
  }
  assert.equal(await connection.send("still here"), "delivered");
  await connection[Symbol.asyncDispose]();
});

test("strangers without number, in the midst of a handshake, make nobody begin again", async (t) => {
  const host = await startHost(t);
  const before = opened.length;
  const client = new TorqueSocket({ bind: "0.0.0.0:0" });
  t.after(() => client.shutdown());
  await client.bind();
  const sockets = opened.slice(before).filter((socket) => socket.listenerCount("message") > 0);
  assert.ok(sockets.length > 1, "at each address of the machine");
  // Empty challenge_requests, and questions outside of connections, from many addresses, and from the host's own.
  const flood = () => {
    for (let n = 0; n < 140_000; n++) {
      const source = { address: `10.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}`, port: 1, family: "IPv4", size: 1 };
      sockets[n % sockets.length].emit("message", Buffer.of(n & 1 ? 0x01 : 0x20), source);
    }
    const [address, port] = host.address.split(":");
    for (const socket of sockets) socket.emit("message", Buffer.of(0x20), { address, port: Number(port), family: "IPv4", size: 1 });
  };
  const trust = () => (flood(), true);
  const connection = await client.connect(`torque://${host.address}`, { trust, signal: AbortSignal.timeout(8_000) });
  const { handshake } = await connection.getStats();
  assert.equal(handshake.restarts, 0);
  assert.equal(await connection.send("through"), "delivered");
});

test("a host is found at whichever of its name's addresses it listens", async (t) => {
  for (const bind of ["127.0.0.1:0", "[::1]:0"]) {
    const host = await startHost(t, { bind });
    const name = `torque://two.example:${host.address.split(":").at(-1)}`;
    let asked = 0;
    const trust = ({ publicKey }) => ++asked === 1 && publicKey === host.public_key;
    const connection = await TorqueSocket.connect(name, { trust });
    assert.equal(connection.peer.address, host.address);
    assert.equal(await connection.send("here"), "delivered");
    connection.close();
  }
});

test("an attempt that is given up while its addresses are asked leaves nothing running", async () => {
  await sleep(100);
  const before = resources();
  for (const at of [20, 400]) {
    const attempt = TorqueSocket.connect("torque://two.example:9", { trust: "anyone", signal: AbortSignal.timeout(at) });
    await assert.rejects(attempt, { name: "TimeoutError" });
  }
  await sleep(800);
  assert.equal(resources(), before);
});

test("the host of the README outlives who asks and vanishes, and serves others meanwhile", async (t) => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const example = /```js\n(.*?)```/s.exec(readme)[1];
  const source = example
    .replace('"torque-socket"', JSON.stringify(new URL("../dist/index.js", import.meta.url).href))
    .replace("0.0.0.0:28000", "127.0.0.1:0");
  const host = execFile(process.execPath, ["--input-type=module", "--eval", source]);
  t.after(() => host.kill());
  const lines = createInterface({ input: host.stdout });
  const line = () => new Promise((resolve) => lines.once("line", resolve));
  const place = await line();
  const vanishing = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => vanishing.shutdown());
  await vanishing.bind();
  const udp = opened.at(-1);
  const { send } = udp;
  // After its connect_request nothing is heard of it.
  udp.send = (datagram, ...all) => void (datagram[0] <= 3 && send.call(udp, datagram, ...all));
  void vanishing.connect(place).catch(() => undefined);
  const code = line();
  const echoes = async () => {
    const connection = await TorqueSocket.connect(place);
    assert.equal(await connection.send("echo"), "delivered");
    for await (const packet of connection) return connection.close(), text(packet);
  };
  await sleep(200);
  assert.equal(await echoes(), "echo");
  assert.equal(await code, "not_confirmed");
  assert.equal(await echoes(), "echo");
});

test("a shutdown ends whatever the others do", async (t) => {
  const host = await startHost(t, { closeWait: 500 });
  const gone = await TorqueSocket.connect(host.url, { closeWait: 100 });
  gone.socket.setSimulatedLink("loss=100%");
  await sleep(50);
  const start = performance.now();
  const over = host.shutdown();
  await sleep(50);
  await assert.rejects(TorqueSocket.connect(host.url), { code: "shutting_down" });
  const late = new Promise((resolve) => (host.on_close = (id, reason, { code }) => id === begun && resolve(code)));
  const begun = host.connect(host.url);
  assert.equal(await late, "closed");
  await over;
  assert.ok(performance.now() - start < 2_000, `${performance.now() - start} ms`);
  await gone.socket.shutdown();
});

test("a socket that was shut down before it began never begins", async () => {
  await sleep(100);
  const before = resources();
  const socket = new TorqueSocket({ bind: "127.0.0.1:0" });
  await socket.shutdown();
  await assert.rejects(socket.bind(), { code: "closed" });
  await assert.rejects(socket.connect("torque://127.0.0.1:1", { trust: "anyone" }), { code: "closed" });
  await assert.rejects(socket.getStats(), { code: "closed" });
  await sleep(50);
  assert.equal(resources(), before);
  assert.equal(socket.address, "");
});

test("a scheduler that was stopped in its turn sets no timer", async () => {
  const before = resources();
  let runs = 0;
  const scheduler = new Scheduler(
    () => (runs === 0 ? 0 : performance.now() + 60_000),
    () => {
      runs++;
      scheduler.stop();
    },
  );
  scheduler.arm();
  await sleep(20);
  scheduler.arm();
  assert.equal(runs, 1);
  assert.equal(resources(), before);
});

test("a core that breaks ends its socket, which says so", async (t) => {
  const host = await startHost(t);
  const { receive } = Core.prototype;
  t.after(() => { Core.prototype.receive = receive; });
  Core.prototype.receive = () => {
    throw new WebAssembly.RuntimeError("unreachable");
  };
  host.udp.emit("message", Buffer.of(1), { address: "127.0.0.1", port: 9, family: "IPv4", size: 1 });
  const { code, message } = await host.closed;
  assert.equal(code, "internal");
  assert.match(message, /unreachable/);
});

test("0.0.0.0 is every address, of both families", async (t) => {
  const host = await startHost(t, { bind: "0.0.0.0:0" });
  const port = host.address.split(":").at(-1);
  for (const address of ["127.0.0.1", "[::1]"]) {
    const connection = await TorqueSocket.connect(`torque://${address}:${port}`, { trust: "anyone" });
    assert.equal(await connection.send("hello"), "delivered", address);
    await connection[Symbol.asyncDispose]();
  }
});

test("secrets do not stay in the memory through which they pass", async (t) => {
  const { instantiate } = WebAssembly;
  t.after(() => { WebAssembly.instantiate = instantiate; });
  let memory;
  WebAssembly.instantiate = async (...all) => {
    const instance = await instantiate(...all);
    memory = () => Buffer.from(instance.exports.memory.buffer).toString("latin1");
    return instance;
  };
  const core = await Core.load();
  const keyPair = core.generateKeyPair();
  assert.ok(!memory().includes(keyPair), "made");
  core.publicKeyOf(keyPair);
  assert.ok(!memory().includes(keyPair), "its public key asked for");
  core.begin(`key_pair=${keyPair}`, 0);
  assert.ok(!memory().includes(`key_pair=${keyPair}`), "begun with");
});
