// Where a socket in Node is, what it says of that, and where answers leave from.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import os, { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { DraftSocket, nodeSockets, TorqueSocket } from "../dist/engine/testing.js";
import { sleep, text } from "./sockets.mjs";

const { SocketAtEach } = await nodeSockets();
const EVERYWHERE = ["", "0.0.0.0:0", "[::]:0"];

async function startHost(t, options) {
  const host = new DraftSocket(options);
  t.after(() => host.shutdown());
  host.on_connect_request = (id) => host.accept_connection(id);
  await host.bind();
  return Object.assign(host, { port: Number(host.address.split(":").pop()) });
}

/** Connects from a local address, and sends a packet there. */
async function reach(t, url, from) {
  const socket = new TorqueSocket({ bind: from, acceptIncoming: false });
  t.after(() => socket.shutdown());
  const connection = await socket.connect(url, { trust: "anyone" });
  assert.equal(await connection.send("hello"), "delivered", url);
  return connection.peer.address;
}

test("a host at every address is reached at each, and answers from there", async (t) => {
  const addresses = Object.values(networkInterfaces()).flat().filter(({ scopeid }) => !scopeid);
  for (const bind of EVERYWHERE) {
    const host = await startHost(t, { bind });
    for (const { address, family } of addresses) {
      const isV6 = family === "IPv6";
      const place = `${isV6 ? `[${address}]` : address}:${host.port}`;
      // From another address of this machine, to which the kernel would answer from that one.
      assert.equal(await reach(t, `torque://${place}`, isV6 ? "[::1]:0" : "127.0.0.1:0"), place);
    }
  }
});

test("what a socket says of where it is can be connected to", async (t) => {
  for (const bind of [...EVERYWHERE, "127.0.0.1:0", "[::1]:0"]) {
    for (const acceptIncoming of [true, false]) {
      const { address, url, public_key } = await startHost(t, { bind, acceptIncoming });
      assert.doesNotMatch(address, /^(0\.0\.0\.0|\[::\]):/);
      assert.equal(url, `torque://${public_key}@${address}`);
      if (acceptIncoming) await reach(t, url, "");
    }
  }
  assert.equal(new TorqueSocket().url, "");
});

test("nobody's address is refused as a target at once, and told why", async (t) => {
  const socket = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => socket.shutdown());
  for (const host of ["0.0.0.0", "[::]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]"]) {
    const [url, trust] = [`torque://${host}:28000`, "anyone"];
    for (const attempt of [() => TorqueSocket.connect(url, { trust }), () => socket.connect(url, { trust }), () => socket.sendInfo(url, "?who")]) {
      await assert.rejects(attempt(), (error) => error.code === "invalid_argument" && /localhost/.test(error.message), url);
    }
  }
});

test("`ready` binds, and does not get in the way of `bind`", { timeout: 20_000 }, async (t) => {
  const socket = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => socket.shutdown());
  await socket.ready;
  assert.match(socket.address, /^127\.0\.0\.1:\d+$/);
  const other = new TorqueSocket();
  t.after(() => other.shutdown());
  await Promise.all([other.ready, other.bind("[::1]:0")]);
  assert.match(other.address, /^\[::1\]:\d+$/);
  await assert.rejects(new TorqueSocket({ bind: "somewhere" }).ready, { code: "invalid_argument" });
});

/** How many UDP sockets this process has, once that stays so. */
async function udpSockets() {
  const count = () => process.getActiveResourcesInfo().filter((name) => /UDP/.test(name)).length;
  for (let before; ; ) {
    before = count();
    await sleep(200);
    if (count() === before) return before;
  }
}

test("a port that somebody has, at whichever address, is in use, and nothing stays open", async (t) => {
  const everywhere = await startHost(t, { bind: "0.0.0.0:0" });
  const before = await udpSockets();
  for (const place of ["0.0.0.0", "[::]", "127.0.0.1", "[::1]"]) {
    await assert.rejects(new TorqueSocket({ bind: `${place}:${everywhere.port}` }).bind(), { code: "bind_failed" }, place);
  }
  assert.equal(await udpSockets(), before);
  const here = await startHost(t, { bind: "[::1]:0" });
  await assert.rejects(new TorqueSocket({ bind: `0.0.0.0:${here.port}` }).bind(), { code: "bind_failed" });
});

test("info packets are answered from the address that was asked", async (t) => {
  const host = await startHost(t, { bind: "0.0.0.0:0" });
  host.on_info_packet = (remote, data) => void host.send_info(`torque://${remote}`, `!${text(data).slice(1)}`);
  const asker = createSocket("udp4");
  t.after(() => asker.close());
  await new Promise((resolve) => asker.bind(0, "127.0.0.1", resolve));
  for (const { address, family } of Object.values(networkInterfaces()).flat()) {
    if (family !== "IPv4") continue;
    const answer = new Promise((resolve) => asker.once("message", (message, from) => resolve([text(message), from.address])));
    asker.send("?who", host.port, address);
    assert.deepEqual(await answer, ["!who", address]);
  }
});

test("callers that ask for a way while the addresses are looked up wait for the result", async (t) => {
  const loopback = Object.values(networkInterfaces()).flat().filter(({ internal }) => internal);
  const told = t.mock.method(os, "networkInterfaces", () => ({ lo: loopback.filter(({ family }) => family === "IPv6") }));
  const sockets = await SocketAtEach.open(0, () => undefined);
  t.after(() => sockets.close());
  told.mock.mockImplementation(() => ({ lo: loopback }));
  const asked = Array.from({ length: 8 }, () => sockets.sourceFor("udp4", "127.0.0.1"));
  assert.deepEqual(await Promise.all(asked), asked.map(() => "127.0.0.1"));
});

const ALONE = ["--user", "--map-root-user", "--net"];
const canBeAlone = spawnSync("unshare", [...ALONE, "ip", "link", "set", "lo", "up"]).status === 0;

test("a host at every address follows the machine's addresses, and hears its networks", { skip: !canBeAlone && "needs a network of its own" }, async () => {
  const program = join(dirname(fileURLToPath(import.meta.url)), "alone.mjs");
  const { stdout } = await promisify(execFile)("unshare", [...ALONE, process.execPath, program], { timeout: 60_000, env: { ...process.env, TORQUE_ALONE: "1" } });
  assert.deepEqual(JSON.parse(stdout), {
    broadcast: "10.9.8.7",
    multicast: "fe80::1%game",
    remote: "[fe80::1%25number]:port",
    zone: true,
    later: true,
    others: true,
    again: true,
  });
});
