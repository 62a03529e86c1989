// Pages and native programs, in a real browser through a real gateway.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DraftSocket } from "../dist/draft.js";
import { dist, openPage, startGateway, startHost, startSite, startTorque } from "./harness.mjs";
import { loadedByPage } from "./project.mjs";

for (const carrier of ["webtransport", "websocket"]) {
  test(`a page talks to a native host over ${carrier}`, async (t) => {
    const host = await startHost(t, "--accept-data", "welcome");
    const gateway = await startGateway(t, [host.address]);
    const page = await openPage(t, await startSite(t));
    const seen = await page.evaluate(
      async ([bind, url, carrier]) => {
        const connection = await torque.TorqueSocket.connect(url, { bind, carriers: [carrier], connectData: "hello" });
        const seen = {
          carrier: connection.socket.carrier,
          publicKey: connection.peer.publicKey,
          accepted: text(connection.acceptData),
          verdicts: [],
          echoes: [],
        };
        for (let n = 0; n < 20; n++) seen.verdicts.push(await connection.send(`packet ${n}`));
        for await (const packet of connection) if (seen.echoes.push(text(packet)) === 20) break;
        seen.stats = await connection.getStats();
        connection.close("bye");
        seen.closed = await connection.closed.then(({ code, by }) => ({ code, by }));
        return seen;
      },
      [gateway.url, host.url, carrier],
    );
    assert.equal(seen.carrier, carrier);
    assert.equal(seen.publicKey, host.publicKey);
    assert.equal(seen.accepted, "welcome");
    assert.deepEqual(seen.verdicts, Array(20).fill("delivered"));
    assert.deepEqual(seen.echoes, Array.from({ length: 20 }, (_, n) => `packet ${n}`));
    assert.equal(seen.stats.counters.delivered, 20);
    // Firefox tells whole milliseconds, so that a round trip on one machine may take none.
    for (const time of [seen.stats.rtt, seen.stats.rttLatest]) assert.ok(Number.isFinite(time) && time >= 0, JSON.stringify(seen.stats));
    assert.ok(seen.stats.handshake.puzzleTries > 0, JSON.stringify(seen.stats));
    assert.deepEqual(seen.closed, { code: "closed", by: "application" });
    const closed = await host.line((line) => line.event === "closed", "close at the host");
    assert.equal(closed.code, "closed", JSON.stringify(closed));
  });
}

const USES = {
  "/modern.js": `
    import { TorqueSocket } from "/torque-socket/index.js";
    export const say = async (bind, url) => (await TorqueSocket.connect(url, { bind })).send("hello");`,
  "/draft.js": `
    import { DraftSocket } from "/torque-socket/draft.js";
    export const say = (bind, url) => new Promise((resolve) => {
      const socket = new DraftSocket({ bind });
      socket.on_established = (id) => socket.send_to(id, "hello");
      socket.on_packet_delivery_notify = (id, packet, delivered) => resolve(delivered && "delivered");
      socket.connect(url);
    });`,
};

test("a page loads the class that it uses, and not the other", async (t) => {
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address]);
  const site = await startSite(t, USES);
  const loadedBy = async (file) => {
    const page = await openPage(t, site, "/", false);
    const { verdict, paths } = await page.evaluate(
      async ([file, bind, url]) => {
        const { say } = await import(file);
        const verdict = await say(bind, url);
        return { verdict, paths: performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname) };
      },
      [file, gateway.url, host.url],
    );
    assert.equal(verdict, "delivered");
    return paths.filter((path) => path.startsWith("/torque-socket/")).map((path) => path.replace("/torque-socket/", "")).sort();
  };
  const modern = await loadedBy("/modern.js");
  assert.deepEqual(modern, await loadedByPage(dist));
  const draft = await loadedBy("/draft.js");
  // Its `connect_introduced` returns at once, so that what introductions need is loaded with it.
  const own = draft.filter((name) => !modern.includes(name) && !name.startsWith("engine/chunk-"));
  assert.deepEqual(own, ["draft.js"], "the rest is shared");
  // Names that only one of the two has.
  const programs = async (names) => (await Promise.all(names.map((name) => readFile(join(dist, name), "utf8")))).join("\n");
  assert.doesNotMatch(await programs(modern), /on_packet_delivery_notify/);
  assert.doesNotMatch(await programs(draft), /onreconnecting/);
});

test("WebSocket takes over where WebTransport is refused", async (t) => {
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address]);
  const page = await openPage(t, await startSite(t));
  const seen = await page.evaluate(
    async ([bind, url]) => {
      // No gateway has a certificate with this hash, so the browser refuses the session.
      const serverCertificateHashes = [btoa("x".repeat(32))];
      const connection = await torque.TorqueSocket.connect(url, { bind, serverCertificateHashes });
      return { carrier: connection.socket.carrier, verdict: await connection.send("hello") };
    },
    [gateway.url, host.url],
  );
  assert.deepEqual(seen, { carrier: "websocket", verdict: "delivered" });
});

test("a page hosts and a native program connects to it", async (t) => {
  const gateway = await startGateway(t, []);
  const page = await openPage(t, await startSite(t));
  const url = await page.evaluate(async (bind) => {
    const socket = new torque.TorqueSocket({ bind, challengeResponse: "a page" });
    await socket.bind();
    globalThis.seen = { packets: [] };
    (async () => {
      for await (const request of socket.requests()) {
        seen.asked = { data: text(request.connectData), ...request.peer };
        const connection = await request.accept("come in");
        connection.onpacket = (packet) => {
          seen.packets.push(text(packet));
          void connection.send(packet);
        };
        seen.closed = await connection.closed.then(({ code, by }) => ({ code, by }));
      }
    })();
    return socket.url;
  }, gateway.url);
  const native = await startTorque(t, "connect", url, "--data", "let me in", "--send", "one", "--send", "two", "--linger", "500");
  assert.equal(await native.ended, 0, JSON.stringify(native.lines));
  const seen = await page.evaluate(async () => {
    while (!seen.closed) await sleep(10);
    return seen;
  });
  assert.equal(seen.asked.data, "let me in");
  assert.match(seen.asked.address, /^(127\.0\.0\.1|\[::1\]):\d+$/);
  assert.deepEqual(seen.packets, ["one", "two"]);
  assert.deepEqual(seen.closed, { code: "closed", by: "remote" });
  const echoed = native.lines.filter((line) => line.event === "packet").map((line) => line.text);
  assert.deepEqual(echoed, ["one", "two"], JSON.stringify(native.lines));
});

test("two pages talk through the gateway, and one may say no", async (t) => {
  const gateway = await startGateway(t, [], "--allow-sessions");
  const site = await startSite(t);
  const [host, client] = [await openPage(t, site), await openPage(t, site)];
  const url = await host.evaluate(async (bind) => {
    // With the names of 2010.
    const socket = new torque.DraftSocket({ bind });
    socket.on_connect_request = (id, key, data) => {
      if (text(data) === "friend") socket.accept_connection(id, "hello friend");
      else socket.close(id, "friends only");
    };
    socket.on_packet = (id, sequence, data) => socket.send_to(id, `you said ${text(data)}`);
    await socket.bind();
    return socket.url;
  }, gateway.url);
  const seen = await client.evaluate(
    async ([bind, url]) => {
      const socket = new torque.TorqueSocket({ bind });
      const refused = await socket.connect(url, { connectData: "stranger" }).catch((error) => error);
      const connection = await socket.connect(url, { connectData: "friend" });
      const verdict = await connection.send("hi");
      for await (const packet of connection) {
        return { refused: [refused.code, text(refused.reason)], accepted: text(connection.acceptData), verdict, answer: text(packet) };
      }
    },
    [gateway.url, url],
  );
  assert.deepEqual(seen, {
    refused: ["refused", "friends only"],
    accepted: "hello friend",
    verdict: "delivered",
    answer: "you said hi",
  });
});

test("with 5 % loss and 100 ms of delay every verdict is what happened", async (t) => {
  const gateway = await startGateway(t, [], "--allow-sessions");
  const site = await startSite(t);
  const [host, client] = [await openPage(t, site), await openPage(t, site)];
  const url = await host.evaluate(async (bind) => {
    const socket = new torque.DraftSocket({ bind });
    globalThis.arrived = [];
    socket.on_connect_request = (id) => socket.accept_connection(id);
    socket.on_packet = (id, sequence, data) => arrived.push(Number(text(data)));
    await socket.bind();
    return socket.url;
  }, gateway.url);
  const told = await client.evaluate(
    async ([bind, url]) => {
      const socket = new torque.DraftSocket({ bind, simulatedLink: { delay: 100, jitter: 20, loss: 0.05 } });
      const order = [];
      let first;
      const established = new Promise((resolve) => (socket.on_established = resolve));
      socket.on_packet_delivery_notify = (id, packet, delivered, { unknown }) => order.push([packet, delivered, unknown]);
      socket.connect(url);
      const id = await established;
      for (let n = 1; n <= 300; n++) {
        first ??= socket.send_to(id, String(n));
        if (n > 1) socket.send_to(id, String(n));
        await sleep(8);
      }
      while (order.length < 300) await sleep(20);
      return { first, order };
    },
    [gateway.url, url],
  );
  const arrived = await host.evaluate(() => arrived);
  assert.equal(told.first, 1);
  assert.deepEqual(told.order.map(([packet]) => packet), Array.from({ length: 300 }, (_, n) => n + 1), "one verdict each, in order");
  assert.ok(told.order.every(([, , unknown]) => !unknown));
  const delivered = told.order.filter(([, delivered]) => delivered).map(([packet]) => packet);
  assert.deepEqual(delivered, arrived, "delivered are exactly those that arrived");
  assert.ok(delivered.length < 300 && delivered.length > 200, `${delivered.length} of 300`);
});

test("a puzzle is solved beside what the page does, in a worker and without one", async (t) => {
  const host = new DraftSocket({ bind: "127.0.0.1:0", difficulty: { min: 14, max: 14 } });
  t.after(() => host.shutdown());
  host.on_connect_request = (id) => host.accept_connection(id);
  await host.bind();
  const gateway = await startGateway(t, [host.address]);
  const page = await openPage(t, await startSite(t));
  for (const worker of [true, false]) {
    const seen = await page.evaluate(
      async ([bind, url, worker]) => {
        let turns = 0;
        const clock = setInterval(() => turns++, 1);
        const connection = await torque.TorqueSocket.connect(url, { bind, worker });
        clearInterval(clock);
        const { handshake } = await connection.getStats();
        connection.close();
        return { turns, handshake };
      },
      [gateway.url, host.url, worker],
    );
    const { puzzleTime, puzzleTries } = seen.handshake;
    t.diagnostic(`worker ${worker}: ${puzzleTries} tries in ${puzzleTime} ms, ${seen.turns} turns of the page meanwhile`);
    assert.equal(seen.handshake.difficulty, 14);
    assert.ok(seen.turns > 2, "the page had its turns meanwhile");
  }
});
