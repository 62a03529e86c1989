// Runs in a network of its own, whose addresses come and go, and says how a host at every address fared.

import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";

import { DraftSocket } from "../dist/draft.js";
import { TorqueSocket } from "../dist/index.js";

// `node --test` takes it for a test, and would change the machine's own network.
if (!process.env.TORQUE_ALONE) process.exit();

const ip = (...words) => execFileSync("ip", words);
ip("link", "set", "lo", "up");
ip("link", "add", "game", "type", "veth", "peer", "name", "other");
ip("link", "set", "other", "addrgenmode", "none");
ip("link", "set", "other", "up");
ip("addr", "add", "10.9.8.7/24", "dev", "game");
ip("link", "set", "game", "addrgenmode", "none");
ip("link", "set", "game", "up");
ip("addr", "add", "fe80::1/64", "dev", "game", "nodad");

const host = new DraftSocket({ bind: "0.0.0.0:0" });
host.on_connect_request = (id) => host.accept_connection(id);
const heard = [];
host.on_info_packet = (remote) => {
  heard.push(remote);
  void host.send_info(`torque://${remote}`, "!me");
};
await host.bind();
const port = Number(host.address.split(":").pop());
const told = {};

/** Asks a whole network until `isDone`. */
async function ask(asker, to, isDone) {
  for (let tries = 0; tries < 50 && !isDone(); tries++) {
    asker.send("?who", port, to);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  asker.close();
}

/** Tries again and again for ten seconds, and returns whether an attempt succeeded. */
async function reaches(address, bind = "127.0.0.1:0") {
  for (let tries = 0; tries < 20; tries++) {
    const signal = AbortSignal.timeout(500);
    const connection = await TorqueSocket.connect(`torque://${address}:${port}`, { bind, signal, trust: "anyone" }).catch(() => undefined);
    if (connection) return (await connection.send("hello")) === "delivered";
  }
  return false;
}

const asker = createSocket("udp4").on("message", (message, { address }) => { told.broadcast = address; });
await new Promise((resolve) => asker.bind(0, "10.9.8.7", resolve));
asker.setBroadcast(true);
await ask(asker, "10.9.8.255", () => told.broadcast);
const everyone = createSocket("udp6").on("message", (message, { address }) => { told.multicast = address; });
await ask(everyone, "ff02::1%game", () => told.multicast);
told.remote = heard.at(-1).replace(/%25\d+\]:\d+$/, "%25number]:port");
told.zone = await reaches("[fe80::1%25game]", "[::]:0");
ip("addr", "add", "10.9.9.1/32", "dev", "lo");
told.later = await reaches("10.9.9.1");
ip("addr", "del", "10.9.9.1/32", "dev", "lo");
told.others = await reaches("127.0.0.1");
await new Promise((resolve) => setTimeout(resolve, 3_000));
ip("addr", "add", "10.9.9.1/32", "dev", "lo");
told.again = await reaches("10.9.9.1");
console.log(JSON.stringify(told));
await host.shutdown();
process.exit();
