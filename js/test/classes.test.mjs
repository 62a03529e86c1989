// The two classes in Node: what they take, what they refuse, and what an application may do in its listeners.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ClientConnection, copyOf, DraftSocket, Engine, KeyPair, TorqueConnection, TorqueSocket } from "../dist/engine/testing.js";
import { bound, sleep, text, uncaught } from "./sockets.mjs";

/** Starts a host that accepts the first request with `welcome`; `accepted` is that connection. */
async function startHost(t, options) {
  const host = await bound(t, TorqueSocket, options);
  const accepted = (async () => {
    for await (const request of host.requests()) return request.accept("welcome");
  })();
  return { host, url: host.url, accepted };
}

/** The next thing that an attribute for events is told. */
const next = (socket, name) => new Promise((resolve) => (socket[name] = (...all) => resolve(all)));

test("data is copied, whatever it is a view of", () => {
  const bytes = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  for (const [data, expected] of [
    [bytes.subarray(1, 3), [1, 2]],
    [Buffer.from(bytes.buffer, 2, 2), [2, 3]],
    [new DataView(bytes.buffer, 4, 2), [4, 5]],
    [new Uint16Array(bytes.buffer, 6, 1), [6, 7]],
    [bytes.buffer, [0, 1, 2, 3, 4, 5, 6, 7]],
    [new Float32Array([1.5]), [0, 0, 0xc0, 0x3f]],
    ["é", [0xc3, 0xa9]],
    [undefined, []],
  ]) {
    const copy = copyOf(data);
    assert.deepEqual([...copy], expected);
    assert.equal(copy.constructor, Uint8Array);
    if (data) assert.notEqual(copy.buffer, data.buffer ?? data);
  }
  for (const data of [3, null, [1, 2], {}]) assert.throws(() => copyOf(data), { code: "invalid_argument" });
  assert.throws(() => copyOf("four", 3), { code: "too_large" });
});

test("what was handed in may be written over at once", { timeout: 60_000 }, async (t) => {
  const used = (data) => {
    const buffer = Buffer.from(data);
    queueMicrotask(() => buffer.fill("x"));
    return buffer;
  };
  const challengeResponse = Buffer.from("a fine host");
  const host = await bound(t, DraftSocket, { challengeResponse });
  challengeResponse.fill("x");
  const requested = next(host, "on_connect_request");
  const client = await bound(t, DraftSocket);
  const challenged = next(client, "on_challenge_response");
  const id = client.connect(host.url.replace(/tk1\w+@/, ""), used("hello"));
  assert.equal(text((await challenged)[2]), "a fine host");
  client.accept_challenge(id);
  const [asking, , data] = await requested;
  assert.equal(text(data), "hello");
  const established = next(client, "on_established");
  host.accept_connection(asking, used("welcome"));
  assert.equal(text((await established)[1].accept_data), "welcome");
  const packets = [];
  host.on_packet = (connection, sequence, packet) => packets.push(text(packet));
  const buffer = Buffer.alloc(1);
  for (const letter of "abc") client.send_to(id, (buffer.fill(letter), buffer));
  const closed = next(host, "on_close");
  client.close(id, used("bye"));
  assert.equal(text((await closed)[1]), "bye");
  assert.deepEqual(packets, ["a", "b", "c"]);
});

test("a reason or answer that is too long is refused at once, and does nothing", async (t) => {
  const host = await bound(t, TorqueSocket);
  const requested = (async () => {
    for await (const request of host.requests()) return request;
  })();
  const attempt = TorqueSocket.connect(host.url);
  const request = await requested;
  const long = "x".repeat(512);
  await assert.rejects(request.accept(long), { code: "too_large" });
  assert.throws(() => request.refuse(long), { code: "too_large" });
  const [server, client] = await Promise.all([request.accept("x".repeat(511)), attempt]);
  assert.throws(() => client.close(long), { code: "too_large" });
  assert.equal(await client.send("still open"), "delivered");
  client.close("x".repeat(511));
  assert.equal((await server.closed).reason.length, 511);
  assert.equal((await client.closed).code, "closed");
});

test("without a key or `trust` nothing is connected, at once, and the error lists the choices", { timeout: 10_000 }, async (t) => {
  const { host } = await startHost(t);
  const unpinned = `torque://${host.address}`;
  const choices = (code) => (error) => error.code === code && ["URL", "list of keys", "function", '"anyone"'].every((word) => error.message.includes(word));
  // A socket that was never bound: it fails before anything is looked up or sent.
  const socket = new TorqueSocket();
  for (const target of [unpinned, "torque://nowhere.invalid", { host: "127.0.0.1", port: 9 }]) {
    await assert.rejects(socket.connect(target), choices("no_trust"));
    await assert.rejects(TorqueSocket.connect(target), choices("no_trust"));
  }
  for (const trust of ["pinned", "", null, "ask", [], [3], true]) {
    await assert.rejects(socket.connect(unpinned, { trust }), choices("invalid_argument"), `${trust}`);
    await assert.rejects(TorqueSocket.connect(unpinned, { trust }), choices("invalid_argument"), `${trust}`);
  }
  assert.equal(socket.address, "");
  const draft = new DraftSocket();
  assert.throws(() => draft.connect(unpinned), { code: "no_trust", message: /on_challenge_response/ });
  assert.equal(draft.address, "");
});

test("a host is trusted by its key, one of several, a function's answer, or as anyone", async (t) => {
  const host = await bound(t, TorqueSocket, { challengeResponse: "a fine host" });
  void (async () => {
    for await (const request of host.requests()) void request.accept().catch(() => undefined);
  })();
  const other = (await KeyPair.generate()).publicKey;
  const [address, port] = host.address.split(":");
  const asked = [];
  const parts = { host: address, port: Number(port) };
  for (const [target, trust] of [
    [host.url, undefined],
    [{ ...parts, publicKey: host.publicKey }, undefined],
    [host.url, [other, host.publicKey]],
    [parts, host.publicKey],
    [parts, [other, host.publicKey]],
    // Keys are read in either case.
    [parts, host.publicKey.toUpperCase()],
    [parts, [other, host.publicKey.toUpperCase()]],
    [host.url, [host.publicKey.toUpperCase()]],
    [parts, "anyone"],
    [parts, (shown) => asked.push(shown) > 0],
    [parts, async ({ publicKey }) => publicKey === host.publicKey],
    // With a key in the URL both have to agree.
    [host.url, (shown) => asked.push(shown) > 0],
    [host.url.replace(/tk1\w+/, (key) => key.toUpperCase()), [host.publicKey]],
    [host.url, "anyone"],
  ]) {
    const connection = await TorqueSocket.connect(target, trust === undefined ? {} : { trust });
    assert.equal(await connection.send("hello"), "delivered");
    assert.deepEqual(connection.peer, { publicKey: host.publicKey, address: host.address, origin: undefined });
    connection.close();
  }
  assert.equal(asked.length, 2);
  assert.deepEqual([asked[0].publicKey, text(asked[0].challengeResponse)], [host.publicKey, "a fine host"]);
  const mismatch = { code: "key_mismatch" };
  const wrong = { ...parts, publicKey: other };
  const unasked = () => assert.fail("asked about another key than the pinned one");
  const untrusted = [
    [parts, other],
    [parts, [other]],
    [parts, () => false],
    [parts, async () => false],
    [host.url, () => false],
    [wrong, undefined],
    [wrong, "anyone"],
    [wrong, unasked],
  ];
  // Each listens on for another answer until its limit, so all at once.
  await Promise.all(
    untrusted.map(([target, trust]) => assert.rejects(TorqueSocket.connect(target, trust === undefined ? {} : { trust }), mismatch)),
  );
  await assert.rejects(TorqueSocket.connect({ ...parts, publicKey: "tk1nonsense" }, { trust: () => true }), { code: "invalid_argument" });
  await assert.rejects(TorqueSocket.connect(host.url, { trust: other }), { code: "invalid_argument", message: /key in the URL/ });
});

test("a `trust` that throws trusts nobody, and its error is heard of", async (t) => {
  const { host } = await startHost(t);
  const thrown = uncaught(t);
  const trust = () => { throw new Error("no list of keys"); };
  await assert.rejects(TorqueSocket.connect(`torque://${host.address}`, { trust }), { code: "key_mismatch" });
  assert.deepEqual(thrown.map(({ message }) => message), ["no list of keys"]);
});

test("one packet goes to all connections, each with its own verdict", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, TorqueSocket);
  void (async () => {
    for await (const request of host.requests()) void request.accept();
  })();
  const clients = await Promise.all([1, 2, 3].map(() => TorqueSocket.connect(host.url)));
  const packets = clients.map(async (client) => { for await (const packet of client) return text(packet); });
  while (host.connections.length < 3) await sleep(5);
  const [, second] = host.connections;
  assert.deepEqual(await Promise.all(host.sendToAll("to you all")), ["delivered", "delivered", "delivered"]);
  assert.deepEqual(await Promise.all(packets), ["to you all", "to you all", "to you all"]);
  second.close();
  for (const refused of host.sendToAll(3)) await assert.rejects(refused, { code: "invalid_argument" });
  const [first, last] = host.sendToAll("still", [second, host.connections[1]]);
  await assert.rejects(first, { code: "closed" });
  assert.equal(await last, "delivered");
  assert.equal(host.connections.length, 2);
});

test("a send that nobody looks at is no unhandled rejection", async (t) => {
  const { url, accepted } = await startHost(t);
  const client = await TorqueSocket.connect(url);
  await accepted;
  client.close();
  void client.send("too late");
  const refused = client.send("too late");
  await sleep(20);
  await assert.rejects(refused, { code: "closed" });
  assert.equal((await client.closed).code, "closed");
  await client.socket.closed;
  assert.equal(await client.getStats(), undefined, "nor are there figures of what has ended");
});

test("listeners that throw harm nobody, and are heard of", { timeout: 60_000 }, async (t) => {
  const thrown = uncaught(t);
  const { url, accepted } = await startHost(t);
  const socket = await bound(t, DraftSocket);
  const told = [];
  for (const name of ["on_established", "on_packet", "on_packet_delivery_notify", "on_close"]) {
    socket[name] = (connection, value) => {
      told.push([name, name === "on_packet_delivery_notify" ? value : ""]);
      throw new Error(name);
    };
  }
  const id = socket.connect(url);
  const server = await accepted;
  server.onpacket = (packet) => {
    throw new Error(`onpacket ${text(packet)}`);
  };
  while (told.length < 1) await sleep(5);
  assert.deepEqual([1, 2, 3].map((n) => socket.send_to(id, `${n}`)), [1, 2, 3]);
  while (told.length < 4) await sleep(5);
  await server.send("to you");
  while (told.length < 5) await sleep(5);
  await socket.shutdown();
  const verdicts = [1, 2, 3].map((n) => ["on_packet_delivery_notify", n]);
  assert.deepEqual(told, [["on_established", ""], ...verdicts, ["on_packet", ""], ["on_close", ""]]);
  assert.deepEqual(thrown.map(({ message }) => message).toSorted(), [...told.map(([name]) => name), "onpacket 1", "onpacket 2", "onpacket 3"].toSorted());
});

test("requests wait for the loop that takes them where that is wished, and may be refused", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, TorqueSocket, { acceptIncoming: true });
  const early = TorqueSocket.connect(host.url, { connectData: "early" });
  await sleep(100);
  const taken = [];
  let late;
  for await (const request of host.requests()) {
    taken.push(text(request.connectData));
    assert.match(request.peer.publicKey, /^tk1/);
    if (taken.length === 2) {
      request.refuse("enough");
      break;
    }
    await request.accept();
    late = TorqueSocket.connect(host.url, { connectData: "late" });
  }
  await early;
  await assert.rejects(late, (error) => error.code === "refused" && text(error.reason) === "enough");
  assert.deepEqual(taken, ["early", "late"]);
});

test("a link may be simulated before the socket is bound, wherever that will be", async (t) => {
  const socket = new TorqueSocket();
  t.after(() => socket.shutdown());
  socket.setSimulatedLink("loss=100%");
  await socket.bind("127.0.0.1:0");
  const { url } = await startHost(t);
  await assert.rejects(socket.connect(url, { signal: AbortSignal.timeout(300) }), { name: "TimeoutError" });
});

/** A connection alone, with an engine that is this test. */
function alone() {
  const core = new ClientConnection(1, () => undefined);
  return { core, connection: new TorqueConnection(undefined, undefined, core) };
}

const established = { kind: "established", id: 1, window: 16, maxPacketSize: 100 };
const close = { kind: "close", id: 1, code: "closed", by: "application", message: "given up", reason: new Uint8Array() };

test("a connection that was given up is not ready, whatever was under way", async () => {
  const { core, connection } = alone();
  connection.close();
  core.handle(established);
  await assert.rejects(connection.send("x"), { code: "closed" });
  core.handle(close);
  await assert.rejects(connection.established, { code: "closed" });
});

test("a listener may stop listening, and the rest waits", () => {
  const { core, connection } = alone();
  for (const sequence of [1, 2, 3]) core.handle({ kind: "packet", id: 1, sequence, data: new Uint8Array() });
  const got = [];
  connection.onpacket = (packet, sequence) => {
    got.push(sequence);
    connection.onpacket = null;
  };
  assert.deepEqual(got, [1]);
  connection.onpacket = (packet, sequence) => got.push(sequence);
  assert.deepEqual(got, [1, 2, 3]);
});

test("each packet has one verdict, in order, also those that the core did not take or never saw", async () => {
  const { core, connection } = alone();
  core.handle(established);
  const told = [];
  for (const n of [1, 2, 3, 4, 5, 6]) void connection.send("x").then((verdict) => told.push([n, verdict]));
  const verdict = (verdict) => core.handle({ kind: "verdict", id: 1, verdict });
  core.handle({ kind: "refused", id: 1, packet: 2 });
  core.handle({ kind: "refused", id: 1, packet: 3 });
  await sleep(0);
  assert.deepEqual(told, [], "the first one has no verdict yet");
  verdict("delivered");
  await sleep(0);
  assert.deepEqual(told, [[1, "delivered"], [2, "dropped"], [3, "dropped"]]);
  assert.equal(connection.inFlight, 3);
  verdict("dropped");
  core.handle({ kind: "refused", id: 1, packet: 6 });
  core.handle(close);
  await sleep(0);
  assert.deepEqual(told.slice(3), [[4, "dropped"], [5, "unknown"], [6, "dropped"]]);
  assert.equal(connection.inFlight, 0);
});

/** Stands in for a worker, and takes only what a worker would take. */
function standInForWorkers(t) {
  const started = [];
  class Worker {
    constructor() {
      started.push(this);
      if (!started.areMissing) this.#tell([]);
      else setImmediate(() => this.onerror({ message: "", preventDefault: () => undefined }));
    }
    #engine = new Engine((notices) => this.#tell(notices));
    #tell(notices) {
      const data = structuredClone(notices);
      setImmediate(() => this.onmessage?.({ data }));
    }
    postMessage(commands) {
      // A module can be given to a worker, though not to Node's structuredClone.
      const data = commands.map(({ module, ...rest }) => ({ ...structuredClone(rest), module }));
      setImmediate(() => this.#engine.handle(data));
    }
    terminate() {
      this.onmessage = null;
      this.#engine.handle([{ kind: "shutdown" }]);
    }
  }
  globalThis.Worker = Worker;
  t.after(() => { delete globalThis.Worker; });
  return started;
}

test("what a worker cannot be given ends the socket, which says so", async (t) => {
  standInForWorkers(t);
  const socket = new TorqueSocket({ bind: "127.0.0.1:0", worker: true, notAnOption: () => undefined });
  await socket.bind();
  const attempt = socket.connect("torque://127.0.0.1:1", { trust: "anyone", settings: () => undefined });
  await assert.rejects(attempt, { code: "internal" });
  assert.match((await socket.closed).message, /could not be cloned/);
  await socket.shutdown();
});

test("a worker gets copies, so that the caller may give its data away", async (t) => {
  standInForWorkers(t);
  const { url, accepted } = await startHost(t);
  const client = await TorqueSocket.connect(url, { bind: "127.0.0.1:0", worker: true });
  const reason = new TextEncoder().encode("bye");
  const sent = client.send("hello");
  client.close(reason);
  structuredClone(reason.buffer, { transfer: [reason.buffer] });
  assert.equal(await sent, "delivered");
  assert.equal(text((await (await accepted).closed).reason), "bye");
});

test("a worker that fails ends its socket, and is not said to have been missing", async (t) => {
  const started = standInForWorkers(t);
  const socket = new TorqueSocket({ bind: "127.0.0.1:0", worker: true });
  await socket.bind();
  started[0].onerror({ message: "unreachable" });
  assert.deepEqual(await socket.closed, { code: "internal", message: "the worker broke: unreachable" });
  started.areMissing = true;
  const other = new TorqueSocket({ bind: "127.0.0.1:0", worker: true });
  await assert.rejects(other.bind(), { code: "worker_missing", message: /serve all .* dist/ });
  assert.equal(started.length, 3, "the file, then the copy");
});

test("a worker tells of what fails in its promises", async (t) => {
  const posted = [];
  const scope = { addEventListener: (type, listener) => (scope[type] = listener), postMessage: (notices) => posted.push(...notices) };
  Object.assign(globalThis, scope);
  t.after(() => { for (const name of ["addEventListener", "postMessage", "onmessage"]) delete globalThis[name]; });
  await import("../dist/engine/worker.js");
  scope.unhandledrejection({ reason: new Error("unreachable") });
  const [{ kind, code, message }] = posted;
  assert.deepEqual([kind, code], ["ended", "internal"]);
  assert.match(message, /unreachable/);
});
