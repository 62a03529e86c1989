// Pages and native programs, in a real browser through a real gateway.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage, startGateway, startHost, startSite } from "./harness.mjs";

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
          publicKey: connection.publicKey,
          accepted: text(connection.acceptData),
          delivered: [],
          echoes: [],
        };
        for (let n = 0; n < 20; n++) seen.delivered.push(await connection.send(`packet ${n}`));
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
    assert.deepEqual(seen.delivered, Array(20).fill(true));
    assert.deepEqual(seen.echoes, Array.from({ length: 20 }, (_, n) => `packet ${n}`));
    assert.equal(seen.stats.counters.delivered, 20);
    assert.ok(seen.stats.rtt > 0 && seen.stats.handshake.puzzleTries > 0, JSON.stringify(seen.stats));
    assert.deepEqual(seen.closed, { code: "closed", by: "application" });
    const closed = await host.line((line) => line.event === "closed", "close at the host");
    assert.equal(closed.code, "closed", JSON.stringify(closed));
  });
}
