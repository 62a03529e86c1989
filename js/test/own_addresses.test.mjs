// What introductions need of UDP in Node: the addresses that others may reach, and datagrams that pass few routers only.

import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { nodeSockets, nodeUdp } from "../dist/engine/testing.js";

const { OneSocket, SocketAtEach } = await nodeSockets();
const { openNodeUdp } = await nodeUdp();

/** Prints its port, and then the hop limit of each datagram that comes; Node cannot ask for that. */
const RECEIVER = `
import socket, struct, sys
v6 = ":" in sys.argv[1]
receiver = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind((sys.argv[1], 0))
if v6:
    receiver.setsockopt(socket.IPPROTO_IPV6, 51, 1)
else:
    receiver.setsockopt(socket.IPPROTO_IP, 12, 1)
print(receiver.getsockname()[1], flush=True)
while True:
    _, ancillary, _, _ = receiver.recvmsg(2048, 256)
    print(struct.unpack("i", ancillary[0][2])[0], flush=True)
`;

async function startReceiver(t, host) {
  const child = spawn("python3", ["-c", RECEIVER, host], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => Number((await lines.next()).value);
  return { port: await next(), next };
}

test("the first punches pass few routers, and what is sent at the same time passes many", { skip: process.platform !== "linux" && "Linux tells hop limits", timeout: 20_000 }, async (t) => {
  const open = {
    each: () => SocketAtEach.open(0, () => undefined),
    v4: () => OneSocket.open("127.0.0.1", 0, () => undefined),
    v6: () => OneSocket.open("::1", 0, () => undefined),
    both: () => OneSocket.open("", 0, () => undefined),
  };
  // From a socket of both families, IPv4 goes as far as ever.
  for (const [kind, host, few = 5] of [["each", "127.0.0.1"], ["each", "::1"], ["v4", "127.0.0.1"], ["v6", "::1"], ["both", "::1"], ["both", "127.0.0.1", 64]]) {
    const receiver = await startReceiver(t, host);
    const sockets = await open[kind]();
    t.after(() => sockets.close());
    const sent = [5, 0, 5, 5, 0];
    for (const hopLimit of sent) sockets.send(new Uint8Array(42), host, receiver.port, host, hopLimit);
    const seen = [];
    for (const _ of sent) seen.push(await receiver.next());
    assert.deepEqual(seen, [few, 64, few, few, 64], `${kind} ${host}`);
  }
});

test("where a remote is reached from is looked up once for all its ports", { timeout: 20_000 }, async (t) => {
  const carrier = await openNodeUdp("", true, { datagram: () => undefined, draining: () => undefined, pageLeaves: () => undefined, lost: () => undefined });
  t.after(() => carrier.close());
  await carrier.ownAddresses(() => undefined);
  const { sockets } = carrier;
  const looks = [];
  const { sourceFor } = sockets;
  sockets.sourceFor = (type, host) => looks.push(host) && sourceFor.call(sockets, type, host);
  const receivers = Array.from({ length: 50 }, () => createSocket("udp4"));
  const ports = [];
  for (const receiver of receivers) {
    t.after(() => receiver.close());
    receiver.bind(0, "127.0.0.1");
    await once(receiver, "listening");
    ports.push(receiver.address().port);
  }
  const come = async () => (await Promise.all(receivers.map((receiver) => once(receiver, "message")))).map(([bytes, from]) => [bytes[0], from.address, from.port]);
  // At first while it is being looked up, and then when it is known.
  for (const kind of [0x80, 0x81]) {
    const came = come();
    for (const port of ports) carrier.send(`127.0.0.1:${port}`, Uint8Array.of(kind), "", 0);
    assert.deepEqual(await came, Array(50).fill([kind, "127.0.0.1", sockets.port]));
  }
  assert.deepEqual(looks, ["127.0.0.1"]);
});

test("a socket at one address names that", async (t) => {
  const sockets = await OneSocket.open("127.0.0.1", 0, () => undefined);
  t.after(() => sockets.close());
  assert.deepEqual(await sockets.ownAddresses(), [`127.0.0.1:${sockets.port}`]);
});

const ALONE = ["--user", "--map-root-user", "--net"];
const canBeAlone = spawnSync("unshare", [...ALONE, "ip", "link", "set", "lo", "up"]).status === 0;

test("a party names the addresses that others can use, and those that come later", { skip: !canBeAlone && "needs a network of its own", timeout: 60_000 }, async () => {
  const program = join(dirname(fileURLToPath(import.meta.url)), "introduced_alone.mjs");
  const { stdout } = await promisify(execFile)("unshare", [...ALONE, process.execPath, program], { timeout: 50_000, env: { ...process.env, TORQUE_ALONE: "1" } });
  const useful = ["10.9.8.7:port", "[fd00:1::1]:port"];
  assert.deepEqual(JSON.parse(stdout), {
    lonely: ["127.0.0.1:port", "[::1]:port"],
    // Not the link-local ones, nor that of IPv6 which the system does not use any more.
    client: useful,
    host: useful,
    later: ["10.9.8.7:port", "10.9.9.1:port", "[fd00:1::1]:port"],
    introduced: true,
    results: ["direct"],
  });
});
