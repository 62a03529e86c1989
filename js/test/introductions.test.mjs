// Introductions in Node: this package as party and as introducer, with itself and with native programs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DraftSocket } from "../dist/draft.js";
import { TorqueSocket } from "../dist/index.js";
import { startTorque } from "./harness.mjs";
import { bound, sleep, text } from "./sockets.mjs";

const INTRODUCES = { introductions: { introduces: true } };

/** An introducer in this process that takes everybody. `parties` are its connections, in the order in which they came. */
async function startIntroducer(t, options = INTRODUCES) {
  const socket = await bound(t, TorqueSocket, options);
  const parties = [];
  const outcomes = [];
  const asked = [];
  socket.onintroduced = (outcome) => outcomes.push(outcome);
  socket.onintroductionrequested = (request) => asked.push(request);
  void (async () => {
    for await (const request of socket.requests()) parties.push(await request.accept());
  })();
  return { socket, parties, outcomes, asked };
}

async function until(holds, what = "it") {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1_500) throw new Error(`${what} did not happen within 15 s`);
    await sleep(10);
  }
}

/** A party that is connected to the introducer, and the introducer's connection with it. */
async function join(t, introducer, options = {}) {
  const socket = await bound(t, TorqueSocket, { acceptIncoming: false, ...options });
  const before = introducer.parties.length;
  const lobby = await socket.connect(introducer.socket.url);
  await until(() => introducer.parties.length > before, "the party");
  return { socket, lobby, there: introducer.parties[before] };
}

/** Two parties that are introduced by `introduce`, and the connection at both sides. */
async function meet(introducer, initiator, host, { relay, paths = {} } = {}) {
  const id = await introducer.socket.introduce(initiator.there, host.there, { relay });
  const requested = host.socket.connectIntroduced(host.lobby, initiator.there.number, { isHost: true, introducedData: "table 4", ...paths });
  const shown = [];
  const trust = (identity) => shown.push(identity) > 0;
  const connected = initiator.socket.connectIntroduced(initiator.lobby, host.there.number, { trust, connectData: "Ada", ...paths });
  connected.catch(() => undefined);
  const request = await requested;
  const accepted = request.accept("welcome");
  return { id, request, shown, atInitiator: await connected, atHost: await accepted };
}

/** Packets go both ways, each with its verdict. */
async function talk(one, other) {
  for (const [from, to] of [[one, other], [other, one]]) {
    const packets = [];
    to.onpacket = (packet) => packets.push(text(packet));
    const verdicts = await Promise.all(Array.from({ length: 20 }, (_, n) => from.send(`packet ${n}`)));
    assert.deepEqual(verdicts, Array(20).fill("delivered"));
    await until(() => packets.length === 20, "the packets");
    assert.deepEqual(packets, Array.from({ length: 20 }, (_, n) => `packet ${n}`));
  }
}

test("two sockets are introduced, and need the introducer no more", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t);
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  const { id, request, shown, atInitiator, atHost } = await meet(introducer, ada, bob);
  assert.equal(request.peer.publicKey, ada.socket.publicKey);
  assert.equal(text(request.connectData), "Ada");
  assert.equal(text(atInitiator.acceptData), "welcome");
  assert.equal(shown.length, 1);
  assert.equal(shown[0].publicKey, bob.socket.publicKey);
  assert.equal(text(shown[0].introducedData), "table 4");
  assert.equal(atInitiator.peer.publicKey, bob.socket.publicKey);
  assert.equal(atInitiator.peer.address, bob.socket.address);
  assert.equal(atHost.peer.address, ada.socket.address);
  assert.equal(atInitiator.introducedBy, ada.lobby);
  assert.equal(atHost.introducedBy, bob.lobby);
  assert.equal(ada.lobby.introducedBy, undefined);
  await until(() => introducer.outcomes.length === 1, "the outcome");
  const [{ took, ...outcome }] = introducer.outcomes;
  assert.deepEqual(outcome, { introduction: id, initiator: ada.there, host: bob.there, result: "direct", code: undefined, neverAsked: [] });
  assert.ok(took > 0 && took < 10_000, `${took} ms`);
  assert.match(id, /^[0-9a-f]{1,16}$/);
  await introducer.socket.shutdown();
  await talk(atInitiator, atHost);
  assert.equal(introducer.outcomes.length, 1);
  assert.deepEqual(introducer.asked, []);
});

test("a circuit carries what takes no direct path, and hides the addresses", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t);
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  const { atInitiator, atHost } = await meet(introducer, ada, bob, { relay: true, paths: { direct: false } });
  assert.equal(atInitiator.peer.address, "relayed");
  assert.equal(atHost.peer.address, "relayed");
  await talk(atInitiator, atHost);
  await until(() => introducer.outcomes.length === 1, "the outcome");
  assert.equal(introducer.outcomes[0].result, "relayed");
});

test("limits of a circuit that are undefined are as usual", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t);
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  const relay = { bytesPerSecond: undefined, datagramsPerSecond: undefined, bytes: undefined, lifetime: undefined };
  const { atInitiator, atHost } = await meet(introducer, ada, bob, { relay, paths: { direct: false } });
  assert.equal(atInitiator.peer.address, "relayed");
  await talk(atInitiator, atHost);
});

test("a relayed connection becomes direct, and both applications and the introducer are told", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t);
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  const { atInitiator, atHost, id } = await meet(introducer, ada, bob, { relay: { bytesPerSecond: 100_000 }, paths: { relay: "at-once" } });
  const results = () => introducer.outcomes.map(({ result }) => result);
  // On loopback a direct path may be faster than the circuit.
  await until(() => ["became_direct", "direct"].includes(results().at(-1)), "a direct path");
  assert.deepEqual(results(), results().length === 1 ? ["direct"] : ["relayed", "became_direct"]);
  assert.ok(introducer.outcomes.every(({ introduction, initiator, host }) => introduction === id && initiator === ada.there && host === bob.there));
  await until(() => atInitiator.peer.address === bob.socket.address && atHost.peer.address === ada.socket.address, "the addresses");
  await talk(atInitiator, atHost);
});

test("an introducer is asked, and says yes or no", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t);
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  const attempt = () => ada.socket.connectIntroduced(ada.lobby, bob.there.number, { trust: "anyone" });
  const refused = assert.rejects(attempt(), { code: "introduction_refused" });
  await until(() => introducer.asked.length === 1, "the question");
  assert.deepEqual(introducer.asked[0], { from: ada.there, to: bob.there, fromIsHost: false });
  await introducer.socket.refuseIntroduction(ada.there, bob.there);
  await refused;
  await assert.rejects(introducer.socket.refuseIntroduction(ada.there, bob.there), { code: "not_waiting" });
  // It is asked again, about the host as well.
  const requested = bob.socket.connectIntroduced(bob.lobby, ada.there.number, { isHost: true });
  await until(() => introducer.asked.length === 2, "the next question");
  assert.deepEqual(introducer.asked[1], { from: bob.there, to: ada.there, fromIsHost: true });
  await introducer.socket.introduce(ada.there, bob.there);
  const connected = attempt();
  await Promise.all([connected, requested.then((request) => request.accept())]);
});

test("what cannot be introduced fails with its code, once", { timeout: 120_000 }, async (t) => {
  const introducer = await startIntroducer(t, { introductions: { introduces: true, wait: 1_000 } });
  const soon = { introductions: { pathWait: 1_500 } };
  const [ada, bob] = [await join(t, introducer, soon), await join(t, introducer, soon)];
  const asInitiator = (options = {}) => ada.socket.connectIntroduced(ada.lobby, bob.there.number, { trust: "anyone", ...options });
  const asHost = (options = {}) => bob.socket.connectIntroduced(bob.lobby, ada.there.number, { isHost: true, ...options });
  const outcome = async (count) => {
    await until(() => introducer.outcomes.length === count, "the outcome");
    const { result, code, neverAsked } = introducer.outcomes.at(-1);
    return { result, code, neverAsked };
  };
  await t.test("nobody else asks", async () => {
    await introducer.socket.introduce(ada.there, bob.there);
    await assert.rejects(asInitiator(), { code: "remote_never_asked" });
    assert.deepEqual(await outcome(1), { result: "never_asked", code: "remote_never_asked", neverAsked: ["host"] });
  });
  await t.test("both are host", async () => {
    await introducer.socket.introduce(ada.there, bob.there);
    const both = [asHost(), ada.socket.connectIntroduced(ada.lobby, bob.there.number, { isHost: true })];
    await Promise.all(both.map((attempt) => assert.rejects(attempt, { code: "role_conflict" })));
    assert.deepEqual(await outcome(2), { result: "failed", code: "role_conflict", neverAsked: [] });
  });
  await t.test("the other party gives up", async () => {
    const controller = new AbortController();
    const given = assert.rejects(asHost({ signal: controller.signal }), { name: "AbortError" });
    const attempt = assert.rejects(asInitiator(), { code: "remote_gone" });
    await until(() => introducer.asked.length > 0, "the question");
    await sleep(100);
    controller.abort();
    await Promise.all([given, attempt]);
  });
  await t.test("no path, and no circuit", async () => {
    const before = introducer.outcomes.length;
    await introducer.socket.introduce(ada.there, bob.there);
    await Promise.all([asHost({ direct: false }), asInitiator()].map((attempt) => assert.rejects(attempt, { code: "no_path" })));
    assert.deepEqual(await outcome(before + 1), { result: "failed", code: "no_path", neverAsked: [] });
  });
  await t.test("twice at once", async () => {
    const first = assert.rejects(asHost(), { code: "remote_never_asked" });
    await assert.rejects(asHost(), { code: "already_introducing" });
    await first;
  });
  await t.test("calls that are wrong", async () => {
    await assert.rejects(ada.socket.connectIntroduced(ada.lobby, 1, {}), { code: "no_trust" });
    await assert.rejects(asHost({ introducedData: new Uint8Array(481) }), { code: "too_large" });
    await assert.rejects(asHost({ relay: "always" }), { code: "invalid_argument" });
    await assert.rejects(asInitiator({ settings: "window=1" }), { code: "invalid_argument" });
    await assert.rejects(asInitiator({ trust: "tk1nonsense" }), { code: "invalid_argument" });
    await assert.rejects(ada.socket.introduce(ada.lobby, ada.lobby), { code: /not_an_introducer|closed/ });
    await assert.rejects(bob.socket.connectIntroduced(ada.lobby, 1, { isHost: true }), { code: "closed" });
  });
  await t.test("the introducer goes away", async () => {
    const waits = assert.rejects(asHost(), { code: "introducer_gone" });
    await sleep(100);
    bob.there.close();
    await waits;
    await assert.rejects(asHost(), { code: "closed" });
  });
});

test("who introduces has said so when the socket was made", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t, {});
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  await assert.rejects(introducer.socket.introduce(ada.there, bob.there), { code: "not_an_introducer" });
  const socket = new TorqueSocket({ bind: "127.0.0.1:0", introductions: { circuitBefore: 1 } });
  await assert.rejects(socket.bind(), { code: "invalid_argument", message: /introduction\.circuit_before/ });
});

test("an attempt that is given up at once asks nobody", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t, { introductions: { introduces: true, wait: 1_000 } });
  const [ada, bob] = [await join(t, introducer), await join(t, introducer)];
  const controller = new AbortController();
  const attempt = ada.socket.connectIntroduced(ada.lobby, bob.there.number, { trust: "anyone", signal: controller.signal });
  controller.abort();
  await assert.rejects(attempt, { name: "AbortError" });
  const next = bob.socket.connectIntroduced(bob.lobby, ada.there.number, { isHost: true });
  await assert.rejects(next, { code: "remote_never_asked" });
  assert.deepEqual(introducer.asked, [{ from: bob.there, to: ada.there, fromIsHost: true }]);
});

test("another key than the one that is trusted ends the attempt", { timeout: 60_000 }, async (t) => {
  const introducer = await startIntroducer(t);
  const [ada, bob, eve] = [await join(t, introducer), await join(t, introducer), await join(t, introducer)];
  await introducer.socket.introduce(ada.there, bob.there);
  const requested = bob.socket.connectIntroduced(bob.lobby, ada.there.number, { isHost: true });
  requested.catch(() => undefined);
  const attempt = ada.socket.connectIntroduced(ada.lobby, bob.there.number, { trust: eve.socket.publicKey });
  await assert.rejects(attempt, { code: "key_mismatch" });
});

test("the draft's names: introduced by numbers and attributes", { timeout: 60_000 }, async (t) => {
  const introducer = await bound(t, DraftSocket, INTRODUCES);
  const numbers = new Map();
  introducer.on_connect_request = (id) => introducer.accept_connection(id);
  introducer.on_established = (id, { number }) => numbers.set(id, number);
  const outcomes = [];
  introducer.on_introduced = (...outcome) => outcomes.push(outcome);
  const asked = [];
  introducer.on_introduction_requested = (from, to, more) => asked.push([from, to, more]);
  const parties = [];
  for (let n = 0; n < 2; n++) {
    const socket = await bound(t, DraftSocket, { acceptIncoming: false });
    const seen = { established: [], closed: [], challenges: [], requests: [], packets: [], verdicts: [] };
    socket.on_established = (...all) => seen.established.push(all);
    socket.on_close = (id, reason, more) => seen.closed.push([id, more.code]);
    socket.on_packet = (id, sequence, data) => seen.packets.push([id, text(data)]);
    socket.on_packet_delivery_notify = (id, packet, delivered) => seen.verdicts.push([id, packet, delivered]);
    const lobby = socket.connect(introducer.url);
    await until(() => seen.established.length === 1 && numbers.size === n + 1, "the lobby");
    parties.push({ socket, seen, lobby, there: [...numbers.keys()][n] });
  }
  const [ada, bob] = parties;
  assert.throws(() => ada.socket.connect_introduced(ada.lobby, numbers.get(bob.there), false), { code: "no_trust" });
  ada.socket.on_challenge_response = (id, key, data, more) => {
    ada.seen.challenges.push([id, key, text(more.introduced_data), more.introduced_by]);
    ada.socket.accept_challenge(id);
  };
  bob.socket.on_connect_request = (id, key, data, more) => {
    bob.seen.requests.push([id, key, text(data), more.introduced_by]);
    bob.socket.accept_connection(id, "welcome");
  };
  const atInitiator = ada.socket.connect_introduced(ada.lobby, numbers.get(bob.there), false, "Ada", "window=64");
  await until(() => asked.length === 1, "the question");
  assert.deepEqual(asked, [[ada.there, bob.there, { from_is_host: false }]]);
  const id = await introducer.introduce(ada.there, bob.there);
  const atHost = bob.socket.connect_introduced(bob.lobby, numbers.get(ada.there), true, "table 4");
  await until(() => ada.seen.established.length === 2 && bob.seen.established.length === 2, "the connection");
  assert.deepEqual(ada.seen.challenges, [[atInitiator, bob.socket.public_key, "table 4", ada.lobby]]);
  assert.deepEqual(bob.seen.requests, [[atHost, ada.socket.public_key, "Ada", bob.lobby]]);
  const [established, more] = ada.seen.established[1];
  assert.equal(established, atInitiator);
  assert.equal(more.introduced_by, ada.lobby);
  assert.equal(text(more.accept_data), "welcome");
  assert.match(more.settings, /window=64/);
  ada.socket.send_to(atInitiator, "hello");
  await until(() => ada.seen.verdicts.length === 1, "the verdict");
  assert.deepEqual(bob.seen.packets, [[atHost, "hello"]]);
  assert.deepEqual(ada.seen.verdicts, [[atInitiator, 1, true]]);
  await until(() => outcomes.length === 1, "the outcome");
  const [[introduction, { took, ...rest }]] = outcomes;
  assert.equal(introduction, id);
  assert.deepEqual(rest, { initiator: ada.there, host: bob.there, result: "direct", code: undefined, never_asked: [] });
  // A host is asked by nobody to be introduced, and refused: it hears why.
  const late = bob.socket.connect_introduced(bob.lobby, numbers.get(ada.there), true);
  await until(() => asked.length === 2, "the next question");
  await introducer.refuse_introduction(bob.there, ada.there);
  await until(() => bob.seen.closed.length === 1, "the end");
  assert.deepEqual(bob.seen.closed, [[late, "introduction_refused"]]);
  assert.throws(() => ada.socket.connect_introduced(99, 1, true), { code: "closed" });
});

/** A native lobby. */
async function startLobby(t, ...args) {
  const lobby = await startTorque(t, "introduce", "127.0.0.1:0", ...args);
  const { url } = await lobby.line((line) => line.event === "listening", "address");
  return Object.assign(lobby, { url });
}

test("a native lobby introduces Node to a native host", { timeout: 60_000 }, async (t) => {
  const lobby = await startLobby(t);
  await startTorque(t, "host", "--via", lobby.url, "--as", "pond", "--bind", "127.0.0.1:0");
  await lobby.line((line) => line.event === "registered", "registration");
  const socket = await bound(t, TorqueSocket, { acceptIncoming: false });
  const there = await socket.connect(lobby.url, { connectData: "torque lobby 1 ask pond" });
  const [number, key] = text(there.acceptData).split(" ");
  const connection = await socket.connectIntroduced(there, Number(number), { trust: key, connectData: "hello" });
  const echo = new Promise((resolve) => (connection.onpacket = (packet) => resolve(text(packet))));
  assert.equal(await connection.send("over the NAT"), "delivered");
  assert.equal(await echo, "over the NAT");
  assert.match(connection.peer.address, /^127\.0\.0\.1:/);
  const told = await lobby.line((line) => line.event === "introduced", "the outcome");
  assert.equal(told.result, "direct");
  t.diagnostic(JSON.stringify(told));
});

test("a native client is introduced to a host in Node", { timeout: 60_000 }, async (t) => {
  const lobby = await startLobby(t);
  const socket = await bound(t, TorqueSocket, { acceptIncoming: false });
  const there = await socket.connect(lobby.url, { connectData: "torque lobby 1 host pond" });
  const asked = new Promise((resolve) => {
    there.onpacket = (packet) => text(packet).startsWith("asked ") && resolve(text(packet).split(" "));
  });
  await lobby.line((line) => line.event === "registered", "registration");
  const client = await startTorque(t, "connect", "--via", lobby.url, `${socket.publicKey}@pond`, "--count", "20", "--rate", "200", "--linger", "300");
  const [, number, key] = await asked;
  const request = await socket.connectIntroduced(there, Number(number), { isHost: true });
  assert.equal(request.peer.publicKey, key);
  const connection = await request.accept();
  connection.onpacket = (packet) => void connection.send(packet);
  assert.equal(await client.ended, 0, JSON.stringify(client.lines));
});
