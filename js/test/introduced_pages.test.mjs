// Introductions in web pages: by circuits, and directly with others that punch first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TorqueSocket } from "../dist/index.js";
import { openPage, startGateway, startSite, startTorque } from "./harness.mjs";
import { bound, sleep, text } from "./sockets.mjs";

/** Gateways tell a session one of its addresses. */
const portOf = (address) => address.split(":").at(-1);

/** A native lobby, and a gateway through which pages reach it. */
async function startPlaces(t, { relay = true, strangers = true } = {}) {
  const lobby = await startTorque(t, "introduce", "127.0.0.1:0", ...(relay ? ["--relay"] : []));
  const { url, address } = await lobby.line((line) => line.event === "listening", "address");
  // In development a gateway hears strangers with local addresses, too.
  const gateway = await startGateway(t, [address], ...(strangers ? [] : ["--strangers", "none"]));
  return { lobby, gateway, lobbyUrl: url, site: await startSite(t) };
}

/** A page that is connected to the lobby as `what`: `host NAME` or `ask NAME`. `meet` and `wait` are there. */
async function joinPage(t, { gateway, lobbyUrl, site }, what, options = {}) {
  const page = await openPage(t, site);
  const told = await page.evaluate(
    async ([bind, url, what, options]) => {
      globalThis.socket = new torque.TorqueSocket({ bind, acceptIncoming: false, introductions: true, ...options });
      globalThis.lobby = await socket.connect(url, { connectData: `torque lobby 1 ${what}` });
      globalThis.asked = new Promise((resolve) => {
        globalThis.registered = new Promise((registered) => {
          lobby.onpacket = (packet) => (text(packet) === "registered" ? registered() : resolve(text(packet).split(" ").slice(1)));
        });
      });
      /** What became of a connection: a packet there and back, with its verdict, and the way that it takes. */
      globalThis.talk = async (connection, packet) => {
        const echo = new Promise((resolve) => (connection.onpacket = (packet) => resolve(text(packet))));
        const verdict = await connection.send(packet);
        return { verdict, echo: await echo, key: connection.peer.publicKey, address: connection.peer.address, by: connection.introducedBy === lobby };
      };
      if (what.startsWith("host")) await registered;
      return text(lobby.acceptData);
    },
    [gateway.url, lobbyUrl, what, options],
  );
  return Object.assign(page, { told: told.split(" "), key: await page.evaluate(() => socket.publicKey), address: await page.evaluate(() => socket.address) });
}

/** Lets a page be host of the next that asks for it, and echo. */
function hostInPage(page, options = {}) {
  return page.evaluate(async (options) => {
    const [number, key] = await asked;
    const request = await socket.connectIntroduced(lobby, Number(number), { isHost: true, introducedData: "a page", ...options });
    const connection = await request.accept("welcome");
    connection.onpacket = (packet) => void connection.send(packet);
    connection.onpathchanged = (address) => (globalThis.path = address);
    globalThis.connection = connection;
    return { key, peer: request.peer.publicKey, data: text(request.connectData), address: connection.peer.address };
  }, options);
}

/** Lets a page connect to the host that it was told of. */
function connectInPage(page, options = {}) {
  return page.evaluate(
    async ([[number, key], options]) => {
      const shown = [];
      const trust = (host) => shown.push(text(host.introducedData)) && host.publicKey === key;
      globalThis.connection = await socket.connectIntroduced(lobby, Number(number), { trust, connectData: "Ada", ...options });
      return { shown, ...(await talk(connection, "hello")) };
    },
    [page.told, options],
  );
}

test("two pages meet by a circuit", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t);
  const host = await joinPage(t, places, "host pond");
  const client = await joinPage(t, places, "ask pond");
  const [atHost, atClient] = await Promise.all([hostInPage(host), connectInPage(client)]);
  assert.deepEqual(atHost, { key: client.key, peer: client.key, data: "Ada", address: "relayed" });
  assert.deepEqual(atClient, { shown: ["a page"], verdict: "delivered", echo: "hello", key: host.key, address: "relayed", by: true });
  const outcome = await places.lobby.line((line) => line.event === "introduced", "the outcome");
  assert.equal(outcome.result, "relayed");
});

test("a page that asks meets a native host directly, and punches nobody first", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t, { relay: false });
  await startTorque(t, "host", "--via", places.lobbyUrl, "--as", "pond", "--bind", "127.0.0.1:0");
  await places.lobby.line((line) => line.event === "registered", "registration");
  const client = await joinPage(t, places, "ask pond");
  const { address, ...seen } = await connectInPage(client);
  assert.match(address, /^127\.0\.0\.1:\d+$/);
  assert.deepEqual(seen, { shown: [""], verdict: "delivered", echo: "hello", key: client.told[1], by: true });
  const outcome = await places.lobby.line((line) => line.event === "introduced", "the outcome");
  assert.equal(outcome.result, "direct");
});

test("a native client meets a page directly", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t, { relay: false });
  const host = await joinPage(t, places, "host pond");
  const native = startTorque(t, "connect", "--via", places.lobbyUrl, `${host.key}@pond`, "--send", "one", "--send", "two", "--linger", "500");
  const { address } = await hostInPage(host);
  assert.match(address, /^127\.0\.0\.1:\d+$/);
  const client = await native;
  assert.equal(await client.ended, 0, JSON.stringify(client.lines));
  const echoed = client.lines.filter((line) => line.event === "packet").map((line) => line.text);
  assert.deepEqual(echoed, ["one", "two"], JSON.stringify(client.lines));
});

test("where the gateway hears no strangers, a page and a native host meet by a circuit", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t, { strangers: false });
  await startTorque(t, "host", "--via", places.lobbyUrl, "--as", "pond", "--bind", "127.0.0.1:0");
  await places.lobby.line((line) => line.event === "registered", "registration");
  const client = await joinPage(t, places, "ask pond");
  const { address, verdict } = await connectInPage(client);
  assert.deepEqual({ address, verdict }, { address: "relayed", verdict: "delivered" });
});

test("a page and a party that takes no other connections answer the gateway's probe", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t, { relay: false });
  for (const isHost of [true, false]) {
    await t.test(isHost ? "Node is host" : "the page is host", async (t) => {
      const socket = await bound(t, TorqueSocket, { acceptIncoming: false });
      const name = isHost ? "pond" : "lake";
      if (isHost) {
        const lobby = await socket.connect(places.lobbyUrl, { connectData: `torque lobby 1 host ${name}` });
        const packets = lobby[Symbol.asyncIterator]();
        const said = async () => text((await packets.next()).value).split(" ");
        assert.deepEqual(await said(), ["registered"]);
        const page = await joinPage(t, places, `ask ${name}`);
        const connected = connectInPage(page);
        const [, number] = await said();
        const request = await socket.connectIntroduced(lobby, Number(number), { isHost: true });
        const connection = await request.accept();
        connection.onpacket = (packet) => void connection.send(packet);
        const { address, verdict, echo } = await connected;
        assert.deepEqual({ address, verdict, echo }, { address: socket.address, verdict: "delivered", echo: "hello" });
        assert.equal(portOf(connection.peer.address), portOf(page.address));
      } else {
        const page = await joinPage(t, places, `host ${name}`);
        const lobby = await socket.connect(places.lobbyUrl, { connectData: `torque lobby 1 ask ${name}` });
        const hosted = hostInPage(page);
        const connection = await socket.connectIntroduced(lobby, Number(text(lobby.acceptData).split(" ")[0]), { trust: page.key });
        assert.equal(await connection.send("hello"), "delivered");
        assert.equal((await hosted).address, socket.address);
        assert.equal(portOf(connection.peer.address), portOf(page.address));
      }
    });
  }
});

test("a page that begins by a circuit becomes direct when the other side has punched", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t);
  await startTorque(t, "host", "--via", places.lobbyUrl, "--as", "pond", "--bind", "127.0.0.1:0");
  await places.lobby.line((line) => line.event === "registered", "registration");
  const client = await joinPage(t, places, "ask pond", { introductions: { circuitAfter: 0 } });
  const { verdict } = await connectInPage(client);
  assert.equal(verdict, "delivered");
  const address = await client.evaluate(async () => {
    for (let tries = 0; connection.peer.address === "relayed" && tries < 2_000; tries++) await sleep(10);
    return connection.peer.address;
  });
  assert.match(address, /^127\.0\.0\.1:\d+$/);
  const verdicts = await client.evaluate(() => Promise.all(Array.from({ length: 20 }, (_, n) => connection.send(`packet ${n}`))));
  assert.deepEqual(verdicts, Array(20).fill("delivered"));
});

test("a page without introductions says which option it lacks", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t);
  const page = await openPage(t, places.site);
  const seen = await page.evaluate(
    async ([bind, url]) => {
      const socket = new torque.TorqueSocket({ bind });
      const lobby = await socket.connect(url, { connectData: "torque lobby 1 host pond" });
      const draft = new torque.DraftSocket({ bind });
      const failures = [
        await failure(socket.connectIntroduced(lobby, 1, { isHost: true })),
        await failure(socket.introduce(lobby, lobby)),
        await failure(socket.refuseIntroduction(lobby, lobby)),
        await failure(draft.introduce(1, 3)),
        await failure((async () => draft.connect_introduced(1, 1, true))()),
      ];
      const loaded = performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => name.endsWith(".wasm"));
      return { failures, loaded: loaded.map((name) => new URL(name).pathname) };
    },
    [places.gateway.url, places.lobbyUrl],
  );
  for (const { code, message } of seen.failures) {
    assert.equal(code, "no_introductions");
    assert.match(message, /introductions: true/);
  }
  assert.deepEqual(seen.loaded, ["/torque-socket/core.wasm"]);
});

test("two pages without a circuit find no path, and both are told so", { timeout: 60_000 }, async (t) => {
  const places = await startPlaces(t, { relay: false });
  const soon = { introductions: { pathWait: 1_500 } };
  const host = await joinPage(t, places, "host pond", soon);
  const client = await joinPage(t, places, "ask pond", soon);
  const ends = await Promise.all([
    host.evaluate(async () => failure(socket.connectIntroduced(lobby, Number((await asked)[0]), { isHost: true }))),
    client.evaluate(async (number) => failure(socket.connectIntroduced(lobby, Number(number), { trust: "anyone" })), client.told[0]),
  ]);
  assert.deepEqual(ends.map(({ code }) => code), ["no_path", "no_path"]);
  for (const page of [host, client]) assert.equal(await page.evaluate(async () => (await socket.getStats()).party_punches_sent), 0);
});

test("a page introduces two others, and lends them a circuit", { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(t, []);
  const page = await openPage(t, await startSite(t));
  const url = await page.evaluate(async (bind) => {
    globalThis.socket = new torque.TorqueSocket({ bind, introductions: { introduces: true } });
    await socket.bind();
    globalThis.parties = [];
    globalThis.outcomes = [];
    socket.onintroduced = ({ result }) => outcomes.push(result);
    (async () => {
      for await (const request of socket.requests()) parties.push(await request.accept());
    })();
    return socket.url;
  }, gateway.url);
  const parties = [];
  for (let n = 0; n < 2; n++) {
    const bind = url.includes("[::1]") ? "[::1]:0" : "127.0.0.1:0";
    const socket = await bound(t, TorqueSocket, { acceptIncoming: false, bind });
    const lobby = await socket.connect(url);
    const number = await page.evaluate(async (n) => {
      while (!parties[n]) await sleep(10);
      return parties[n].number;
    }, n);
    parties.push({ socket, lobby, number });
  }
  const [ada, bob] = parties;
  await page.evaluate(() => socket.introduce(parties[0], parties[1], { relay: true }));
  const hosted = bob.socket.connectIntroduced(bob.lobby, ada.number, { isHost: true, direct: false }).then((request) => request.accept());
  const connection = await ada.socket.connectIntroduced(ada.lobby, bob.number, { trust: bob.socket.publicKey, direct: false });
  await hosted;
  assert.equal(connection.peer.address, "relayed");
  assert.equal(await connection.send("through a page"), "delivered");
  const outcomes = await page.evaluate(async () => {
    while (outcomes.length === 0) await sleep(10);
    return outcomes;
  });
  assert.deepEqual(outcomes, ["relayed"]);
});
