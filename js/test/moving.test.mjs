// Connections follow a side that moves, and learn that their host was restarted (spec/PATHS.md). In Node, through a UDP
// forwarder that stands for a NAT.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import test from "node:test";
import { DraftSocket } from "torque-socket/draft";
import { KeyPair, TorqueSocket } from "torque-socket";
import { bound, text } from "./sockets.mjs";

async function udp() {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** Forwards between a client and `target`, from a port that `rebind` changes. */
async function forwarder(t, target) {
  const inner = await udp();
  let outer;
  let client;
  const forwarding = { port: inner.address().port, target };
  forwarding.rebind = async () => {
    const next = await udp();
    next.on("message", (datagram) => client && inner.send(datagram, client.port, client.address));
    outer?.close();
    outer = next;
    return next.address().port;
  };
  inner.on("message", (datagram, from) => {
    client = from;
    outer.send(datagram, forwarding.target, "127.0.0.1");
  });
  forwarding.outer = await forwarding.rebind();
  t.after(() => [inner, outer].forEach((socket) => socket.close()));
  return forwarding;
}

const portOf = (socket) => Number(socket.address.split(":").at(-1));
const through = (host, port) => host.url.replace(/:\d+$/, `:${port}`);

test("a client whose port changes stays connected, and its host is told where it is", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, TorqueSocket, { acceptIncoming: true });
  const nat = await forwarder(t, portOf(host));
  const client = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => client.shutdown());
  const requests = host.requests();
  const connecting = client.connect(through(host, nat.port));
  const { value: request } = await requests.next();
  const atHost = await request.accept();
  const connection = await connecting;
  assert.equal(atHost.peer.address, `127.0.0.1:${nat.outer}`);
  assert.equal(await connection.send("before"), "delivered");

  const moved = new Promise((resolve) => (atHost.onpathchanged = resolve));
  const outer = await nat.rebind();
  // The first packet may get lost: it asks who this is.
  while ((await connection.send("after")) !== "delivered");
  assert.equal(await moved, `127.0.0.1:${outer}`);
  assert.equal(atHost.peer.address, `127.0.0.1:${outer}`);
  assert.equal(await atHost.send("back"), "delivered");
  assert.equal(connection.peer.address, `127.0.0.1:${nat.port}`);
});

test("the class of 2010 tells the same, by on_path_changed", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, DraftSocket);
  const nat = await forwarder(t, portOf(host));
  host.on_connect_request = (id) => host.accept_connection(id);
  const client = await bound(t, DraftSocket);
  // The host has to have heard the client before it can follow it.
  const established = [host, client].map((socket) => new Promise((resolve) => (socket.on_established = resolve)));
  const id = client.connect(through(host, nat.port));
  await Promise.all(established);
  const moved = new Promise((resolve) => (host.on_path_changed = (_, more) => resolve(more.remote)));
  const outer = await nat.rebind();
  const packets = new Promise((resolve) => (host.on_packet = (_, __, data) => resolve(text(data))));
  client.on_packet_delivery_notify = (_, __, delivered) => delivered || client.send_to(id, "after");
  client.send_to(id, "after");
  assert.deepEqual(await Promise.all([moved, packets]), [`127.0.0.1:${outer}`, "after"]);
});

test("a host that was restarted says so, if it alone has its identity", { timeout: 60_000 }, async (t) => {
  const keyPair = await KeyPair.generate();
  const options = { acceptIncoming: true, keyPair, soleIdentity: true };
  const host = await bound(t, TorqueSocket, options);
  const nat = await forwarder(t, portOf(host));
  const client = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => client.shutdown());
  const requests = host.requests();
  const connecting = client.connect(through(host, nat.port));
  await (await requests.next()).value.accept();
  const connection = await connecting;
  assert.equal(await connection.send("before"), "delivered");
  // For the client the host is another one now, with the same key.
  nat.target = portOf(await bound(t, TorqueSocket, options));
  void connection.send("after");
  assert.equal((await connection.closed).code, "host_restarted");
});
