// Connections that are made again when they end for a reason that may pass, and those that are not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DraftSocket, KeyPair, Reconnector, TorqueError, TorqueSocket } from "../dist/engine/testing.js";
import { fakeGateway } from "./fake_gateway.mjs";

const soon = { firstDelay: 20, maxDelay: 100 };

/** A host that may be started again at the same place with the same key. */
async function startHost(t, { bind = "127.0.0.1:0", keyPair } = {}) {
  const host = new DraftSocket({ bind, ...(keyPair && { keyPair }), closeWait: 100 });
  t.after(() => host.shutdown());
  host.on_connect_request = (id) => host.accept_connection(id);
  await host.bind();
  return host;
}

/** Starts a host, connects to it, and tells the attempts. */
async function connect(t, reconnect, options = {}) {
  const keyPair = await KeyPair.generate();
  const host = await startHost(t, { keyPair });
  const connection = await TorqueSocket.connect(host.url, { reconnect, ...options });
  t.after(() => connection.close());
  const attempts = [];
  connection.onreconnecting = (attempt) => attempts.push(attempt);
  const restart = () => startHost(t, { bind: host.address, keyPair });
  return { host, connection, attempts, restart };
}

test("a host that is restarted gets its connections back, and the verdicts of before stay", async (t) => {
  const { host, connection, attempts, restart } = await connect(t, soon);
  assert.equal(await connection.send("before"), "delivered");
  await host.shutdown();
  assert.equal((await connection.closed).code, "shutting_down");
  await assert.rejects(connection.send("lost"), { code: "closed" });
  const again = await restart();
  const next = await connection.successor;
  assert.notEqual(next, connection);
  assert.equal(await next.send("after"), "delivered");
  // That one is over already; this one goes on.
  connection.close();
  assert.equal(await next.send("still"), "delivered");
  assert.deepEqual(attempts.map(({ attempt }) => attempt), attempts.map((_, at) => at + 1));
  assert.equal(attempts[0].code, "shutting_down");
  // And again.
  await again.shutdown();
  await next.closed;
  const last = await restart();
  const third = await next.successor;
  assert.equal(await third.send("and again"), "delivered");
  const heard = new Promise((resolve) => (last.on_close = (id, reason) => resolve(new TextDecoder().decode(reason))));
  third.close("enough");
  assert.equal(await heard, "enough");
  await assert.rejects(third.successor, { code: "closed" });
});

test("the wait between attempts doubles up to a limit, and is partly random", async () => {
  const delays = [];
  const old = { onreconnecting: ({ delay, code }) => delays.push([delay, code]) };
  const reconnector = new Reconnector({ firstDelay: 8, maxDelay: 40, attempts: 6 }, undefined, async () => {
    throw new TorqueError("busy", "no room");
  });
  await assert.rejects(reconnector.after(old, new TorqueError("timed_out", "silence"), false), { code: "busy" });
  assert.deepEqual(delays.map(([, code]) => code), ["timed_out", "busy", "busy", "busy", "busy", "busy"]);
  for (const [at, longest] of [8, 16, 32, 40, 40, 40].entries()) {
    const [delay] = delays[at];
    assert.ok(delay >= longest / 2 && delay <= longest, `${delay} of ${longest}`);
  }
});

test("what may pass is tried again", async () => {
  // spec/API.md 6: "yes, later".
  const mayPass = ["timed_out", "no_answer", "not_confirmed", "unreachable", "name_not_found", "busy", "stale_challenge", "difficulty_too_high"];
  for (const code of mayPass) {
    const reconnector = new Reconnector({ firstDelay: 1, attempts: 1 }, undefined, async () => "the next connection");
    assert.equal(await reconnector.after({}, new TorqueError(code, "not now"), false), "the next connection", code);
  }
});

test("a decision is not asked for again", async (t) => {
  const { host, connection, attempts } = await connect(t, soon);
  host.on_packet = (id) => host.close(id, "you lost");
  await connection.send("my move");
  const { code, by } = await connection.closed;
  assert.deepEqual([code, by], ["closed", "remote"]);
  await assert.rejects(connection.successor, (error) => error.code === "closed" && new TextDecoder().decode(error.reason) === "you lost");
  assert.deepEqual(attempts, []);
  // Nor if it is told only to the second.
  const other = await connect(t, soon);
  await other.host.shutdown();
  const again = await other.restart();
  again.on_connect_request = (id) => again.close(id, "not you");
  await assert.rejects(other.connection.successor, { code: "refused" });
});

test("a host with another key is no reason to go on", async (t) => {
  const { host, connection } = await connect(t, soon);
  await host.shutdown();
  await startHost(t, { bind: host.address });
  await assert.rejects(connection.successor, { code: "key_mismatch" });
});

test("closing, or the signal, ends what would be tried", async (t) => {
  for (const end of ["close", "signal"]) {
    const controller = new AbortController();
    const { host, connection, attempts } = await connect(t, { firstDelay: 60_000, maxDelay: 60_000 }, { signal: controller.signal });
    await host.shutdown();
    await connection.closed;
    if (end === "close") connection.close();
    else controller.abort();
    await assert.rejects(connection.successor, { code: "shutting_down" });
    assert.equal(attempts.length, 1);
  }
});

test("without being asked for, nothing is made again", async (t) => {
  const { host, connection, attempts } = await connect(t, false);
  await host.shutdown();
  await assert.rejects(connection.successor, { code: "shutting_down" });
  assert.deepEqual(attempts, []);
});

test("a page whose gateway goes goes on at another one", async (t) => {
  const host = await startHost(t);
  const [address, port] = host.address.split(":");
  const gateway = fakeGateway(t, { behaviour: ["welcome", "refuse", "welcome"], target: { host: address, port: Number(port) } });
  const bind = ["https://one.test", "https://two.test"];
  const connection = await TorqueSocket.connect(host.url, { bind, carriers: ["websocket"], reconnect: soon });
  t.after(() => connection.close());
  gateway.sessions[0].end();
  const next = await connection.successor;
  assert.equal((await connection.closed).code, "gateway_lost");
  assert.equal(await next.send("here again"), "delivered");
  assert.deepEqual(gateway.sessions.map(({ url }) => new URL(url).hostname), ["one.test", "one.test", "two.test"]);
  next.close();
});
