// A host in Node: each request has one answer, and none waits for an answer that cannot come.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DraftSocket } from "../dist/draft.js";
import { TorqueSocket } from "../dist/index.js";
import { bound, sleep, text, uncaught } from "./sockets.mjs";

/** A request at a host, and the attempt that makes it. */
async function startRequest(t) {
  const host = await bound(t, TorqueSocket);
  const requests = host.requests();
  const controller = new AbortController();
  t.after(() => controller.abort());
  const next = requests.next();
  const attempt = TorqueSocket.connect(host.url, { signal: controller.signal });
  attempt.catch(() => undefined);
  return { host, attempt, request: (await next).value, giveUp: () => controller.abort() };
}

const ANSWERS = {
  accept: (request) => request.accept(),
  refuse: async (request) => request.refuse("first"),
  ignore: async (request) => request.ignore(),
};

test("the first answer to a request counts, and another is an error", { timeout: 60_000 }, async (t) => {
  for (const first of Object.keys(ANSWERS)) {
    for (const second of Object.keys(ANSWERS)) {
      await t.test(`${first}, then ${second}`, async (t) => {
        const { host, attempt, request, giveUp } = await startRequest(t);
        const answered = ANSWERS[first](request);
        await assert.rejects(ANSWERS[second](request), { code: "not_waiting" });
        if (first === "accept") {
          const [connection, client] = await Promise.all([answered, attempt]);
          for (const late of Object.values(ANSWERS)) await assert.rejects(late(request), { code: "not_waiting" });
          assert.deepEqual(host.connections, [connection]);
          assert.equal(await client.send("still open"), "delivered");
          connection.close("over");
          assert.equal(text((await client.closed).reason), "over");
          return;
        }
        await answered;
        if (first === "refuse") await assert.rejects(attempt, (error) => error.code === "refused" && text(error.reason) === "first");
        await assert.rejects(ANSWERS[second](request), { code: "not_waiting" });
        giveUp();
        await assert.rejects(attempt);
      });
    }
  }
});

test("an answer to what is no request, or has been answered, is an error and changes nothing", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, DraftSocket);
  const client = await bound(t, DraftSocket);
  const closed = (socket) => new Promise((resolve) => (socket.on_close = (id, reason, more) => resolve([id, more.code])));
  // Nobody is there: the attempt goes on until it is closed.
  const own = client.connect(host.url.replace(/:\d+$/, ":9"));
  assert.throws(() => client.ignore_connection(own), { code: "not_waiting" });
  assert.throws(() => client.accept_connection(own), { code: "not_waiting" });
  assert.throws(() => client.accept_challenge(own), { code: "not_waiting" });
  const end = closed(client);
  client.close(own);
  assert.deepEqual(await end, [own, "closed"]);
  // Accepted, then each of the others.
  const established = new Promise((resolve) => (client.on_established = resolve));
  host.on_connect_request = (id) => {
    assert.throws(() => host.accept_challenge(id), { code: "not_waiting" });
    host.accept_connection(id);
    assert.throws(() => host.accept_connection(id), { code: "not_waiting" });
    host.ignore_connection(id);
  };
  const accepted = new Promise((resolve) => (host.on_established = resolve));
  const thrown = uncaught(t);
  const id = client.connect(host.url);
  assert.equal(await established, id);
  await accepted;
  assert.deepEqual(thrown.map(({ code }) => code), ["not_waiting"]);
  const over = closed(client);
  host.close(await accepted, "bye");
  assert.deepEqual(await over, [id, "closed"]);
});

test("a host that has shown its key is accepted once, and not after the attempt was closed", { timeout: 60_000 }, async (t) => {
  const { address } = await bound(t, DraftSocket);
  for (const answer of ["accept_challenge", "close"]) {
    const client = await bound(t, DraftSocket);
    const shown = new Promise((resolve) => (client.on_challenge_response = resolve));
    const id = client.connect(`torque://${address}`);
    assert.throws(() => client.accept_challenge(id), { code: "not_waiting", message: /none has shown its key/ });
    assert.equal(await shown, id);
    client[answer](id);
    assert.throws(() => client.accept_challenge(id), { code: "not_waiting" }, answer);
  }
});

test("figures are told, whatever else happens in the turn that asks for them", { timeout: 60_000 }, async (t) => {
  const { host, request } = await startRequest(t);
  request.ignore();
  assert.equal((await host.getStats()).connections_closed, 1);
});

test("a request that is ignored leaves nothing at the host, and its initiator hears nothing", { timeout: 60_000 }, async (t) => {
  const { host, attempt, request, giveUp } = await startRequest(t);
  request.ignore();
  const before = await host.getStats();
  let after = before;
  // The initiator repeats its request.
  while (after.datagrams_received < before.datagrams_received + 2) {
    await sleep(20);
    after = await host.getStats();
  }
  assert.deepEqual([after.datagrams_sent, after.connections_closed], [before.datagrams_sent, 1]);
  giveUp();
  await assert.rejects(attempt, { name: "AbortError" });
});

test("a request that is ignored by its number is over at the host, and its initiator goes on", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, DraftSocket);
  const closed = new Promise((resolve) => (host.on_close = (id, reason, more) => resolve([id, more])));
  const ignored = new Promise((resolve) => (host.on_connect_request = (id) => resolve((host.ignore_connection(id), id))));
  const controller = new AbortController();
  const attempt = TorqueSocket.connect(host.url, { signal: controller.signal });
  attempt.catch(() => undefined);
  assert.deepEqual(await closed, [await ignored, { code: "closed", by: "application" }]);
  controller.abort();
  await assert.rejects(attempt, { name: "AbortError" });
});

test("a request that has ended cannot be answered", { timeout: 60_000 }, async (t) => {
  const { host, attempt, request } = await startRequest(t);
  await host.shutdown();
  await assert.rejects(attempt, { code: "shutting_down" });
  for (const answer of Object.values(ANSWERS)) await assert.rejects(answer(request), { code: "closed" });
});

test("a loop over requests is left without an error when those that wait end in the same turn", { timeout: 60_000 }, async (t) => {
  const host = await bound(t, TorqueSocket);
  const attempts = Promise.allSettled([1, 2].map(() => TorqueSocket.connect(host.url)));
  for await (const _ of host.requests()) {
    while ((await host.getStats()).connections_requested < 2) await sleep(5);
    void host.shutdown();
    break;
  }
  for (const { reason } of await attempts) assert.equal(reason.code, "shutting_down");
});

test("who asks where nobody takes requests is refused, and told why", { timeout: 20_000 }, async (t) => {
  const refused = (error) => error.code === "refused" && /no requests/.test(text(error.reason));
  const attempt = (url) => TorqueSocket.connect(url, { signal: AbortSignal.timeout(10_000) });
  for (const Class of [TorqueSocket, DraftSocket]) {
    const { url } = await bound(t, Class);
    await assert.rejects(attempt(url), refused, Class.name);
  }
  // Nobody takes any more.
  const host = await bound(t, TorqueSocket);
  const requests = host.requests();
  const next = requests.next();
  const taken = attempt(host.url);
  await (await next).value.accept();
  await taken;
  await requests.return();
  await assert.rejects(attempt(host.url), refused);
});

test("a listener that throws before it has answered refuses", { timeout: 20_000 }, async (t) => {
  const thrown = uncaught(t);
  const host = await bound(t, DraftSocket);
  host.on_connect_request = () => { throw new Error("no list of players"); };
  const attempt = () => TorqueSocket.connect(host.url, { signal: AbortSignal.timeout(10_000) });
  await assert.rejects(attempt(), { code: "refused" });
  host.on_connect_request = (id) => {
    host.accept_connection(id);
    throw new Error("after the answer");
  };
  assert.equal(await (await attempt()).send("hello"), "delivered");
  assert.deepEqual(thrown.map(({ message }) => message), ["no list of players", "after the answer"]);
});

test("`requests` fails when the socket cannot be bound, and ends after a shutdown", async (t) => {
  const first = await bound(t, TorqueSocket);
  const second = new TorqueSocket({ bind: first.address });
  await assert.rejects(second.requests().next(), { code: "bind_failed" });
  await assert.rejects(second.requests().next(), { code: "bind_failed" });
  const next = first.requests().next();
  await first.shutdown();
  assert.deepEqual(await next, { done: true, value: undefined });
  assert.equal((await first.requests().next()).done, true);
});

test("a simulated link may be a preset", async (t) => {
  const host = await bound(t, DraftSocket);
  host.on_connect_request = (id) => host.accept_connection(id);
  const roundTrip = async (simulatedLink) => {
    const connection = await TorqueSocket.connect(host.url, { simulatedLink });
    const begun = performance.now();
    await connection.send("there and back");
    const time = performance.now() - begun;
    connection.close();
    return time;
  };
  // In each direction, `mobile` takes 40 ms at least.
  assert.ok(await roundTrip("mobile,loss=0") >= 80);
  assert.ok(await roundTrip("mobile,loss=0,delay=60") >= 120);
  assert.ok(await roundTrip({ delay: 50 }) >= 100);
});
