// Node over real UDP: with native programs, and with itself.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { inspect } from "node:util";

import { DraftSocket } from "../dist/draft.js";
import { KeyPair, ratesBetween, TorqueError, TorqueSocket } from "../dist/index.js";
import { startHost, startTorque } from "./harness.mjs";
import { sleep, text } from "./sockets.mjs";

/** A host in this process whose requests are accepted and whose packets go back. */
async function startEcho(t, options = {}) {
  const host = new DraftSocket({ bind: "127.0.0.1:0", ...options });
  t.after(() => host.shutdown());
  host.on_connect_request = (id) => host.accept_connection(id, "welcome");
  host.on_packet = (id, sequence, data) => host.send_to(id, data);
  await host.bind();
  return host;
}

test("Node connects to a native host", { timeout: 60_000 }, async (t) => {
  const host = await startHost(t, "--accept-data", "welcome");
  for (const url of [host.url, `torque://localhost:${host.port}`]) {
    const connection = await TorqueSocket.connect(url, { connectData: "hello", trust: "anyone" });
    assert.equal(connection.peer.publicKey, host.publicKey);
    assert.equal(text(connection.acceptData), "welcome");
    const echoes = [];
    connection.onpacket = (packet) => echoes.push(text(packet));
    const verdicts = await Promise.all(Array.from({ length: 100 }, (_, n) => connection.send(`packet ${n}`)));
    assert.deepEqual(verdicts, Array(100).fill("delivered"));
    while (echoes.length < 100) await sleep(5);
    assert.deepEqual(echoes, Array.from({ length: 100 }, (_, n) => `packet ${n}`));
    connection.close("bye");
    assert.equal((await connection.closed).code, "closed");
  }
});

test("a native program connects to a host in Node", async (t) => {
  for (const bind of ["127.0.0.1:0", "[::1]:0"]) {
    const host = await startEcho(t, { bind });
    const native = await startTorque(t, "connect", host.url, "--count", "50", "--rate", "500", "--linger", "300");
    assert.equal(await native.ended, 0, JSON.stringify(native.lines));
    const delivered = native.lines.filter((line) => line.event === "delivered" || line.delivery === "delivered");
    assert.equal(delivered.length, 50, JSON.stringify(native.lines.slice(0, 5)));
  }
});

test("both may say no, and the other is told why", { timeout: 60_000 }, async (t) => {
  const host = new DraftSocket({ bind: "127.0.0.1:0" });
  t.after(() => host.shutdown());
  await host.bind();
  const url = `torque://${host.address}`;
  host.set_challenge_response("a fine host");
  host.on_connect_request = (id, key, data) => host.close(id, `no ${text(data)} here`);
  const client = new DraftSocket();
  t.after(() => client.shutdown());
  const challenge = new Promise((resolve) => (client.on_challenge_response = (...all) => resolve(all)));
  const closed = () => new Promise((resolve) => (client.on_close = (id, reason, more) => resolve([id, text(reason), more])));
  const id = client.connect(url, "strangers");
  const [asked, key, data, { cipher }] = await challenge;
  assert.deepEqual([asked, key, text(data), cipher], [id, host.public_key, "a fine host", "chacha20-poly1305"]);
  client.accept_challenge(id);
  assert.deepEqual(await closed(), [id, "no strangers here", { code: "refused", by: "remote" }]);
  // The initiator says no to the key.
  client.on_challenge_response = (id) => client.close(id);
  const other = client.connect(url);
  assert.deepEqual(await closed(), [other, "", { code: "closed", by: "application" }]);
});

test("what cannot be sent is told at once, and nothing is sent", async (t) => {
  const host = await startEcho(t);
  const connection = await TorqueSocket.connect(host.url, { settings: "window=16" });
  assert.equal(connection.window, 16);
  await assert.rejects(connection.send(new Uint8Array(connection.maxPacketSize + 1)), { code: "too_large" });
  const sent = Array.from({ length: 16 }, () => connection.send("x"));
  await assert.rejects(connection.send("one too many"), { code: "window_full" });
  assert.deepEqual(await Promise.all(sent), Array(16).fill("delivered"));
  connection.close();
  await assert.rejects(connection.send("late"), TorqueError);
  await connection.closed;
  await assert.rejects(connection.send("later"), { code: "closed" });
});

test("packets that nobody takes are bounded, and their sender is told that they were dropped", async (t) => {
  const host = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => host.shutdown());
  let hosted;
  (async () => {
    for await (const request of host.requests()) hosted = await request.accept();
  })();
  await host.bind();
  const connection = await TorqueSocket.connect(host.url);
  let delivered = 0;
  let dropped = 0;
  while (delivered + dropped < 1_500) {
    for (const verdict of await Promise.all(Array.from({ length: 100 }, () => connection.send("x")))) {
      if (verdict === "delivered") delivered++;
      else dropped++;
    }
  }
  assert.deepEqual([delivered, dropped], [1_024, 476]);
  let taken = 0;
  hosted.onpacket = () => taken++;
  assert.equal(taken, 1_024);
  assert.equal(await connection.send("room again"), "delivered");
  connection.close();
});

test("figures tell losses and bytes, since the beginning and between two looks", async (t) => {
  const host = await startEcho(t);
  const connection = await TorqueSocket.connect(host.url);
  const before = await connection.getStats();
  assert.equal(before.loss, 0);
  connection.socket.setSimulatedLink("loss=30%");
  const verdicts = [];
  for (let n = 0; n < 200; n++) verdicts.push(await connection.send(new Uint8Array(500)));
  const after = await connection.getStats();
  const dropped = verdicts.filter((verdict) => verdict === "dropped").length;
  assert.ok(dropped > 0);
  assert.equal(after.loss, dropped / 200);
  const rates = ratesBetween(before, after);
  assert.equal(rates.loss, after.loss);
  const seconds = (after.time - before.time) / 1_000;
  assert.equal(rates.bytesSent, (after.counters.bytes_sent - before.counters.bytes_sent) / seconds);
  assert.ok(rates.bytesReceived > 0 && rates.lossReceived > 0, JSON.stringify(rates));
  const nothing = ratesBetween(after, after);
  assert.deepEqual(nothing, { loss: 0, lossReceived: 0, bytesSent: 0, bytesReceived: 0 });
  connection.socket.setSimulatedLink("perfect");
  connection.close();
});

test("an attempt can be given up", async (t) => {
  const silent = createSocket("udp4");
  await new Promise((resolve) => silent.bind(0, "127.0.0.1", resolve));
  t.after(() => silent.close());
  const url = `torque://127.0.0.1:${silent.address().port}`;
  const controller = new AbortController();
  const attempt = TorqueSocket.connect(url, { trust: "anyone", signal: controller.signal });
  setTimeout(() => controller.abort(new Error("no time")), 100);
  await assert.rejects(attempt, /no time/);
  const socket = new TorqueSocket();
  const pending = socket.connect(url, { trust: "anyone" });
  await socket.shutdown();
  await assert.rejects(pending);
});

test("URLs, keys, options and places that cannot be used are named", async (t) => {
  for (const [url, expected] of [
    ["http://localhost", /torque:\/\//],
    ["torque://", /host/i],
    ["torque://tk1short@localhost", /key/],
    ["torque://localhost:99999", /port/i],
  ]) {
    await assert.rejects(TorqueSocket.connect(url, { trust: "anyone" }), (error) => error.code === "invalid_argument" && expected.test(error.message), url);
  }
  await assert.rejects(new TorqueSocket({ settings: "window=1" }).bind(), { code: "invalid_argument" });
  await assert.rejects(new TorqueSocket({ keyPair: "secret" }).bind(), { code: "invalid_argument" });
  await assert.rejects(new TorqueSocket({ applicationId: "two\nlines" }).bind(), { code: "invalid_argument" });
  await assert.rejects(new TorqueSocket({ bind: "somewhere" }).bind(), { code: "invalid_argument" });
  assert.throws(() => new TorqueSocket({ simulatedLink: "speed=9" }), { code: "invalid_argument" });
  const taken = await startEcho(t);
  await assert.rejects(new TorqueSocket({ bind: taken.address }).bind(), { code: "bind_failed" });
});

test("a key pair is an identity, and shows no secret", async (t) => {
  const keyPair = await KeyPair.generate();
  const host = await startEcho(t, { keyPair });
  assert.equal(host.public_key, keyPair.publicKey);
  const kept = keyPair.toSecretText();
  assert.equal((await KeyPair.fromSecretText(kept)).publicKey, keyPair.publicKey);
  assert.ok(![inspect(keyPair), JSON.stringify(keyPair), `${keyPair}`].join().includes(kept), "nothing prints the secret");
  await assert.rejects(KeyPair.fromSecretText("secret"), { code: "invalid_argument" });
  const other = await KeyPair.generate();
  await assert.rejects(TorqueSocket.connect(`torque://${other.publicKey}@${host.address}`), { code: "key_mismatch" });
});

test("info packets pass outside of connections", { timeout: 60_000 }, async (t) => {
  const host = await startEcho(t);
  host.on_info_packet = (remote, data) => void host.send_info(`torque://${remote}`, `!${text(data).slice(1).toUpperCase()}`);
  const client = new TorqueSocket({ bind: "127.0.0.1:0" });
  t.after(() => client.shutdown());
  const answer = new Promise((resolve) => (client.oninfo = (address, data) => resolve([address, text(data)])));
  await client.sendInfo(`torque://${host.address}`, "?who");
  assert.deepEqual(await answer, [host.address, "!WHO"]);
});

test("strangers' datagrams do no more than being counted", async (t) => {
  const host = await startEcho(t);
  const stranger = createSocket("udp4");
  t.after(() => stranger.close());
  const [address, port] = host.address.split(":");
  for (let n = 0; n < 300; n++) {
    const junk = crypto.getRandomValues(new Uint8Array(n * 4));
    if (n % 2) junk[0] = n % 16;
    stranger.send(junk, Number(port), address);
  }
  const connection = await TorqueSocket.connect(host.url);
  assert.equal(await connection.send("still here"), "delivered");
  const stats = await host.get_stats();
  assert.ok(stats.malformed + stats.unknown_address + stats.reserved_kind + stats.stray_handshake > 50, JSON.stringify(stats));
  connection.close();
});
