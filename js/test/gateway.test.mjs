// What a socket makes of a gateway that is slow, silent, lost, or about to go: against one that is no network.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";

import { DraftSocket } from "../dist/draft.js";
import { TorqueSocket } from "../dist/index.js";
import { fakeGateway } from "./fake_gateway.mjs";

const bind = "https://gateway.test";
const carriers = ["websocket"];

async function startHost(t) {
  const host = new DraftSocket({ bind: "127.0.0.1:0" });
  t.after(() => host.shutdown());
  host.on_connect_request = (id) => host.accept_connection(id);
  await host.bind();
  const [address, port] = host.address.split(":");
  return Object.assign(host, { target: { host: address, port: Number(port) } });
}

/** A gateway's word that it will be gone. */
const draining = (time) => Uint8Array.of(0, 0x88, time >> 24, time >> 16, time >> 8, time);

/** How long a promise takes to settle. */
async function timeOf(promise) {
  const start = performance.now();
  await promise.catch(() => undefined);
  return performance.now() - start;
}

test("a carrier that is lost before the welcome gives way to the next one", async (t) => {
  const gateway = fakeGateway(t, { behaviour: ["drop", "welcome"] });
  const socket = new TorqueSocket({ bind, carriers: ["websocket", "websocket"] });
  t.after(() => socket.shutdown());
  await socket.bind();
  assert.equal(gateway.sessions.length, 2);
});

test("a gateway that says why it gives no session is not asked over another carrier, and the page hears why", async (t) => {
  const gateway = fakeGateway(t, { behaviour: ["refuse"] });
  const bound = new TorqueSocket({ bind, carriers: ["websocket", "websocket"] }).bind();
  await assert.rejects(bound, { code: "too_many_sessions", message: /too many/ });
  assert.equal(gateway.sessions.length, 1);
});

test("a gateway that refuses a session does not end the attempt that it is about to welcome, and starts no other", async (t) => {
  const gateway = fakeGateway(t, { behaviour: ["late", "refuse", "welcome"] });
  const socket = new TorqueSocket({ bind, carriers: ["websocket", "websocket", "websocket"] });
  t.after(() => socket.shutdown());
  await socket.bind();
  assert.deepEqual(gateway.sessions.map(({ readyState }) => readyState), [1, 3]);
});

test("why a gateway gives no session is told although nothing else of it can be asked", async (t) => {
  fakeGateway(t, { behaviour: ["refuse"] });
  globalThis.fetch = async () => {
    throw new TypeError("no CORS");
  };
  const bound = new TorqueSocket({ bind: "https://full.test", carriers }).bind();
  await assert.rejects(bound, { code: "too_many_sessions" });
});

test("what cannot be bound says why, in words of this place", async (t) => {
  const gateway = fakeGateway(t, { behaviour: ["drop"] });
  const failure = (options) => new TorqueSocket(options).bind().then(() => assert.fail("bound"), (error) => error);
  const lost = await failure({ bind });
  assert.equal(lost.code, "gateway_unreachable", "not no_webtransport, although there is none");
  assert.match(lost.message, /not over webtransport or websocket/);
  assert.equal((await failure({ bind, carriers: ["webtransport"] })).code, "no_webtransport");
  assert.equal((await failure({ bind: "https://" })).code, "invalid_argument");
  gateway.description.origin_allowed = false;
  const refused = await failure({ bind });
  assert.equal(refused.code, "origin_not_allowed");
  assert.match(refused.message, /programs/);
});

test("a gateway that accepts and says nothing is given up when the application does", async (t) => {
  const server = createServer(() => undefined);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const silent = `http://127.0.0.1:${server.address().port}`;
  const aborted = TorqueSocket.connect("torque://game.example", { trust: "anyone", bind: silent, signal: AbortSignal.timeout(50) });
  assert.ok((await timeOf(aborted)) < 1_000);
  await assert.rejects(aborted, { name: "TimeoutError" });
  const socket = new TorqueSocket({ bind: silent });
  const bound = socket.bind();
  bound.catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok((await timeOf(socket.shutdown())) < 1_000);
  await assert.rejects(bound, { code: "closed" });
  // The draft's class: the close is an event, and not a part of the call.
  const other = new DraftSocket({ bind: silent });
  other.on_challenge_response = () => undefined;
  t.after(() => other.shutdown());
  let told;
  const closed = new Promise((resolve) => (other.on_close = (id, reason, more) => resolve((told = { id, ...more }))));
  const id = other.connect("torque://game.example");
  other.close(id);
  assert.equal(told, undefined);
  await closed;
  assert.deepEqual(told, { id, code: "closed", by: "application" });
});

test("a session that stays silent while it opens is given up after seconds, for the next carrier", async (t) => {
  const gateway = fakeGateway(t, { behaviour: ["silence", "welcome"] });
  const socket = new TorqueSocket({ bind, carriers: ["websocket", "websocket"] });
  t.after(() => socket.shutdown());
  const time = await timeOf(socket.bind());
  assert.ok(time < 6_000, `${time} ms`);
  assert.equal(socket.carrier, "websocket");
  assert.equal(gateway.sessions[0].readyState, 3, "the first one is closed");
});

test("the hosts of a page hear that it goes when its gateway goes", async (t) => {
  const host = await startHost(t);
  const gateway = fakeGateway(t, { target: host.target });
  const heard = new Promise((resolve) => (host.on_close = (id, reason, { code, by }) => resolve({ code, by })));
  const connection = await TorqueSocket.connect(`torque://${host.address}`, { trust: "anyone", bind, carriers });
  const sent = connection.send("the last word");
  await new Promise((resolve) => setImmediate(resolve));
  // A second is what it takes.
  gateway.tell(draining(1_000));
  assert.equal(await sent, "delivered");
  const { code, by } = await connection.closed;
  assert.deepEqual({ code, by }, { code: "gateway_draining", by: "socket" });
  assert.equal((await connection.socket.closed).code, "gateway_draining");
  assert.deepEqual(await heard, { code: "shutting_down", by: "remote" });
});

test("a gateway that goes away leaves connections their time, and the application hears how much", async (t) => {
  const host = await startHost(t);
  const gateway = fakeGateway(t, { target: host.target });
  const connection = await TorqueSocket.connect(`torque://${host.address}`, { trust: "anyone", bind, carriers });
  const { socket } = connection;
  assert.equal(socket.timeLeft, Infinity);
  const told = new Promise((resolve) => (socket.ondraining = resolve));
  gateway.tell(draining(2_500));
  assert.equal(await told, 2_500);
  assert.ok(socket.timeLeft > 1_500 && socket.timeLeft <= 2_500);
  await assert.rejects(socket.connect("torque://127.0.0.1:9", { trust: "anyone" }), { code: "gateway_draining" });
  const closed = timeOf(connection.closed);
  assert.equal(await connection.send("still here"), "delivered");
  // A second before the end at the latest.
  assert.ok((await closed) > 1_000);
  assert.ok(socket.timeLeft > 0);
  assert.equal((await connection.closed).code, "gateway_draining");
  assert.equal((await socket.closed).code, "gateway_draining");
});

test("a socket with nothing left to do leaves a gateway that goes away", async (t) => {
  const host = await startHost(t);
  const gateway = fakeGateway(t, { target: host.target });
  const idle = new TorqueSocket({ bind, carriers });
  await idle.bind();
  const connection = await TorqueSocket.connect(`torque://${host.address}`, { trust: "anyone", bind, carriers });
  gateway.tell(draining(2 ** 31 - 1));
  assert.equal((await idle.closed).code, "gateway_draining");
  assert.equal(await connection.send("the last move"), "delivered");
  connection.close("the game is over");
  assert.equal((await connection.closed).code, "closed");
  await connection.socket.closed;
});

test("of several gateways the first that gives a session is taken", async (t) => {
  const gateway = fakeGateway(t, { behaviour: ["refuse", "drop", "welcome"] });
  const socket = new TorqueSocket({ bind: ["https://full.test", "https://broken.test", "https://good.test"], carriers });
  t.after(() => socket.shutdown());
  await socket.bind();
  assert.deepEqual(gateway.sessions.map(({ url }) => new URL(url).hostname), ["full.test", "broken.test", "good.test"]);
  const none = fakeGateway(t, { behaviour: ["refuse", "drop"] });
  await assert.rejects(new TorqueSocket({ bind: ["https://full.test", "https://broken.test"], carriers }).bind(), { code: "too_many_sessions" });
  assert.equal(none.sessions.length, 2);
});

test("an origin token that leaves no room for the data ends the attempt", async (t) => {
  const host = await startHost(t);
  fakeGateway(t, { target: host.target, token: new Uint8Array(150).fill(1) });
  for (const url of [`torque://${host.address}`, host.url]) {
    const options = { trust: "anyone", bind, carriers, connectData: new Uint8Array(900) };
    await assert.rejects(TorqueSocket.connect(url, options), { code: "too_large" }, url);
  }
  const fits = await TorqueSocket.connect(`torque://${host.address}`, { trust: "anyone", bind, carriers, connectData: new Uint8Array(800) });
  await fits[Symbol.asyncDispose]();
});
