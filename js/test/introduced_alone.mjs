// Runs in a network of its own, and says which addresses sockets there name to introducers, and how two of them fared.

import { execFileSync } from "node:child_process";

import { nodeUdp, TorqueSocket } from "../dist/engine/testing.js";

// `node --test` takes it for a test, and would change the machine's own network.
if (!process.env.TORQUE_ALONE) process.exit();

const ip = (...words) => execFileSync("ip", words);
const { openNodeUdp } = await nodeUdp();
const deaf = { datagram: () => undefined, draining: () => undefined, pageLeaves: () => undefined, lost: () => undefined };
const told = {};
const anonymous = (addresses) => addresses.map((address) => address.replace(/:\d+$/, ":port"));

/** What a socket names that is bound to all addresses. */
async function named(isHost, changed = () => undefined) {
  const carrier = await openNodeUdp("", isHost, deaf);
  return { carrier, addresses: anonymous(await carrier.ownAddresses(changed)) };
}

ip("link", "set", "lo", "up");
const lonely = await named(true);
told.lonely = lonely.addresses;
lonely.carrier.close();

ip("link", "add", "game", "type", "veth", "peer", "name", "other");
ip("link", "set", "other", "addrgenmode", "none");
ip("link", "set", "other", "up");
ip("link", "set", "game", "addrgenmode", "none");
ip("addr", "add", "10.9.8.7/24", "dev", "game");
ip("link", "set", "game", "up");
ip("addr", "add", "169.254.7.7/16", "dev", "game");
ip("addr", "add", "fe80::1/64", "dev", "game", "nodad");
ip("addr", "add", "fd00:1::2/64", "dev", "game", "nodad", "preferred_lft", "0");
ip("addr", "add", "fd00:1::1/64", "dev", "game", "nodad");
ip("route", "add", "default", "via", "10.9.8.1");

let later;
const change = new Promise((resolve) => (later = resolve));
const client = await named(false, later);
const host = await named(true);
[told.client, told.host] = [client.addresses, host.addresses].map((all) => [...all].sort());
ip("addr", "add", "10.9.9.1/32", "dev", "lo");
told.later = anonymous(await change).sort();
ip("addr", "del", "10.9.9.1/32", "dev", "lo");
client.carrier.close();
host.carrier.close();

// All three at all addresses, as sockets are when nothing is said.
const introducer = new TorqueSocket({ introductions: { introduces: true } });
const results = new Promise((resolve) => (introducer.onintroduced = ({ result }) => resolve([result])));
const requests = introducer.requests();
const parties = [];
for (let n = 0; n < 2; n++) {
  const socket = new TorqueSocket({ acceptIncoming: n === 0 ? undefined : false });
  await introducer.bind();
  const [lobby, { value: request }] = await Promise.all([
    (async () => socket.connect(`torque://${introducer.publicKey}@10.9.8.7:${introducer.address.split(":").pop()}`))(),
    requests.next().then(async (next) => ({ value: await next.value.accept() })),
  ]);
  parties.push({ socket, lobby, there: request });
}
const [ada, bob] = parties;
await introducer.introduce(ada.there, bob.there);
const hosted = bob.socket.connectIntroduced(bob.lobby, ada.there.number, { isHost: true }).then((request) => request.accept());
const connection = await ada.socket.connectIntroduced(ada.lobby, bob.there.number, { trust: bob.socket.publicKey });
await connection.send("hello");
// Either of them may be the first that works.
told.introduced = anonymous([connection.peer.address, (await hosted).peer.address]).every((address) => told.host.includes(address));
told.results = await results;
console.log(JSON.stringify(told));
process.exit();
