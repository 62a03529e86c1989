// Who gets in, at the gateway and at the host, and what becomes of those who try otherwise.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { test } from "node:test";

import { DraftSocket } from "../dist/draft.js";
import { TorqueSocket } from "../dist/index.js";
import { openPage, startGateway, startHost, startSite } from "./harness.mjs";

test("a gateway with another certificate than expected is not believed", async (t) => {
  const gateway = await startGateway(t, []);
  const page = await openPage(t, await startSite(t));
  const failed = await page.evaluate((bind) => {
    const serverCertificateHashes = [btoa("x".repeat(32))];
    return failure(new torque.TorqueSocket({ bind, serverCertificateHashes, carriers: ["webtransport"] }).bind());
  }, gateway.url);
  assert.equal(failed.code, "gateway_unreachable");
  assert.match(failed.message, /certificate/);
});

test("where nobody listens, the page is told so", async (t) => {
  const gateway = await startGateway(t, []);
  await gateway.stop();
  const page = await openPage(t, await startSite(t));
  const failed = await page.evaluate((bind) => failure(new torque.TorqueSocket({ bind }).bind()), gateway.url);
  assert.equal(failed.code, "gateway_unreachable");
});

test("a page of an origin that the gateway does not allow is told so", async (t) => {
  const gateway = await startGateway(t, [], "--allow-origin", "https://somewhere.else");
  const page = await openPage(t, await startSite(t));
  for (const carriers of [["webtransport"], ["websocket"]]) {
    const failed = await page.evaluate(
      ([bind, carriers]) => failure(new torque.TorqueSocket({ bind, carriers }).bind()),
      [gateway.url, carriers],
    );
    assert.equal(failed.code, "origin_not_allowed", `${carriers}: ${failed.message}`);
  }
});

test("a target that is not on the list is refused by name, and gets nothing", async (t) => {
  const secret = createSocket("udp4");
  let heard = 0;
  secret.on("message", () => heard++);
  await new Promise((resolve) => secret.bind(0, "127.0.0.1", resolve));
  t.after(() => secret.close());
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address]);
  const page = await openPage(t, await startSite(t));
  for (const target of [`127.0.0.1:${secret.address().port}`, `localhost:${secret.address().port}`, "no-such-name.invalid:1"]) {
    const failed = await page.evaluate(
      ([bind, url]) => failure(torque.TorqueSocket.connect(url, { bind, trust: "anyone" })),
      [gateway.url, `torque://${target}`],
    );
    const expected = target.includes("invalid") ? ["name_not_found", "target_not_allowed"] : ["target_not_allowed"];
    assert.ok(expected.includes(failed.code), `${target}: ${JSON.stringify(failed)}`);
  }
  assert.equal(heard, 0);
});

/** A host in this process that admits the site's pages only. */
async function startChoosyHost(t, gateway, origins, options = {}) {
  const host = new DraftSocket({
    bind: "127.0.0.1:0",
    trustedGateways: [gateway.publicKey],
    allowedOrigins: origins,
    ...options,
  });
  t.after(() => host.shutdown());
  host.asked = [];
  host.on_connect_request = (id, key, data, { origin }) => {
    host.asked.push(origin ?? "none");
    host.accept_connection(id);
  };
  await host.bind();
  return host;
}

test("a native host sees which page it is, and refuses pages of other sites and programs", async (t) => {
  const [site, other] = [await startSite(t), await startSite(t)];
  const first = await startGateway(t, ["127.0.0.1:*"]);
  const host = await startHost(t, "--trusted-gateway", first.publicKey, "--allowed-origin", site.origin);
  const page = await openPage(t, site);
  const connect = ([bind, url]) => torque.TorqueSocket.connect(url, { bind, trust: "anyone" }).then(() => "connected", ({ code }) => code);
  for (const url of [host.url, host.url.replace(/tk1\w+@/, "")]) {
    assert.equal(await page.evaluate(connect, [first.url, url]), "connected", url);
  }
  const asked = await host.line((line) => line.event === "established" || line.event === "request", "a request");
  assert.ok(JSON.stringify(host.lines).includes(site.origin), JSON.stringify(asked));
  const stranger = await openPage(t, other);
  assert.equal(await stranger.evaluate(connect, [first.url, host.url]), "origin_not_allowed");
  // A gateway that the host does not know may say what it likes.
  const second = await startGateway(t, ["127.0.0.1:*"]);
  assert.equal(await page.evaluate(connect, [second.url, host.url]), "origin_not_allowed");
  await assert.rejects(TorqueSocket.connect(host.url), { code: "origin_not_allowed" });
});

test("forged, foreign and replayed origin tokens are no better than none", async (t) => {
  const site = await startSite(t);
  const gateway = await startGateway(t, ["127.0.0.1:*"]);
  const host = await startHost(t, "--trusted-gateway", gateway.publicKey, "--allowed-origin", site.origin);
  const elsewhere = await startHost(t);
  const page = await openPage(t, site);
  const outcomes = await page.evaluate(
    async ([bind, url, elsewhereKey]) => {
      // Direct, so that the engine is on this side of the worker.
      const { Core, GatewaySession, TorqueSocket } = await import("/torque-socket/engine/testing.js");
      const { attest } = GatewaySession.prototype;
      const tokens = [];
      const attempt = async (change) => {
        GatewaySession.prototype.attest = async function (remote, initiatorKey, hostKey) {
          return change(await attest.call(this, remote, initiatorKey, hostKey), this, remote, initiatorKey);
        };
        return TorqueSocket.connect(url, { bind, worker: false }).then(() => "connected", ({ code }) => code);
      };
      const otherKey = (await Core.load()).publicKeyBytes(elsewhereKey);
      return {
        honest: await attempt((token) => (tokens.push(token), token)),
        forged: await attempt((token) => (token[60] ^= 1, token)),
        // Of this gateway, for this page, but made for another host.
        foreign: await attempt((token, session, remote, initiatorKey) => attest.call(session, remote, initiatorKey, otherKey)),
        // The honest one again, by another key from another port.
        replayed: await attempt(() => tokens[0]),
        none: await attempt(() => undefined),
      };
    },
    [gateway.url, host.url, elsewhere.publicKey],
  );
  const refused = "origin_not_allowed";
  assert.deepEqual(outcomes, { honest: "connected", forged: refused, foreign: refused, replayed: refused, none: refused });
});

/** Runs in a page: hosts, and notes the origin of each request. */
function hostInPage(options) {
  const host = (globalThis.host = new torque.DraftSocket(options));
  host.asked = [];
  host.on_connect_request = (id, key, data, { origin }) => {
    host.asked.push(origin ?? "none");
    host.accept_connection(id);
  };
  return host.bind().then(() => host.url);
}

/** Hosts at every carrier that admit pages of `origins`. `asked(count)` gives the origins of the requests since the last call, of at least `count`. */
const HOSTS = {
  "a native host": async (t, { gateway }, { allowedOrigins, allowNative }) => {
    const origins = allowedOrigins.flatMap((origin) => ["--allowed-origin", origin]);
    const host = await startHost(t, "--trusted-gateway", gateway.publicKey, ...origins, ...(allowNative ? ["--allow-native"] : []));
    let seen = 0;
    /** Its lines come a little later than what they tell of. */
    const asked = async (count) => {
      const told = () => host.lines.filter(({ event }) => event === "request").map(({ origin }) => origin ?? "none").slice(seen);
      for (let tries = 0; tries < 100 && told().length < count; tries++) await new Promise((resolve) => setTimeout(resolve, 20));
      const all = told();
      seen += all.length;
      return all;
    };
    return { url: host.url, asked };
  },
  ...Object.fromEntries(
    ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"].map((bind) => [
      `Node at ${bind}`,
      async (t, { gateway }, options) => {
        const { allowedOrigins, ...rest } = options;
        const host = await startChoosyHost(t, gateway, allowedOrigins, { bind, ...rest });
        // The way that the gateway lets pages go.
        return { url: host.url.replace(/@[\d.]+:/, "@127.0.0.1:"), asked: async () => host.asked.splice(0) };
      },
    ]),
  ),
  ...Object.fromEntries(
    ["webtransport", "websocket"].map((carrier) => [
      `a page over ${carrier}`,
      async (t, { gateway, site }, options) => {
        const page = await openPage(t, site);
        const all = { ...options, trustedGateways: [gateway.publicKey], bind: gateway.url, carriers: [carrier] };
        return { url: await page.evaluate(hostInPage, all), asked: () => page.evaluate(() => host.asked.splice(0)) };
      },
    ]),
  ),
};

for (const [name, startHostAt] of Object.entries(HOSTS)) {
  test(`${name} admits pages by their origin, over every carrier, and programs if it says so`, async (t) => {
    const [site, other] = [await startSite(t), await startSite(t)];
    const gateway = await startGateway(t, ["127.0.0.1:*", "[::1]:*"], "--allow-sessions");
    const [page, stranger] = [await openPage(t, site), await openPage(t, other)];
    const connect = ([url, bind, carrier]) =>
      torque.TorqueSocket.connect(url, { bind, carriers: [carrier] }).then(({ socket }) => (socket.shutdown(), "connected"), ({ code }) => code);
    for (const allowNative of [true, false]) {
      const host = await startHostAt(t, { gateway, site }, { allowedOrigins: [site.origin], allowNative });
      for (const carrier of ["webtransport", "websocket"]) {
        assert.equal(await page.evaluate(connect, [host.url, gateway.url, carrier]), "connected", carrier);
        assert.deepEqual(await host.asked(1), [site.origin]);
        assert.equal(await stranger.evaluate(connect, [host.url, gateway.url, carrier]), "origin_not_allowed", carrier);
      }
      const program = TorqueSocket.connect(host.url).then(({ socket }) => (socket.shutdown(), "connected"), ({ code }) => code);
      assert.equal(await program, allowNative ? "connected" : "origin_not_allowed");
      assert.deepEqual(await host.asked(allowNative ? 1 : 0), allowNative ? ["none"] : []);
    }
  });
}

test("a host whose clock is set while it runs judges tokens by the new time", async (t) => {
  const site = await startSite(t);
  const gateway = await startGateway(t, ["127.0.0.1:*"]);
  const page = await openPage(t, site);
  const { now } = Date;
  t.after(() => { Date.now = now; });
  for (const wrong of [-3_600_000, 3_600_000]) {
    Date.now = () => now() + wrong;
    const host = await startChoosyHost(t, gateway, [site.origin]);
    const connect = () => page.evaluate(
      ([bind, url]) => torque.TorqueSocket.connect(url, { bind }).then(() => "connected", ({ code }) => code),
      [gateway.url, host.url],
    );
    assert.equal(await connect(), "origin_not_allowed");
    Date.now = now;
    assert.equal(await connect(), "connected");
  }
});

test("origins do not matter to a host that lists none", async (t) => {
  const gateway = await startGateway(t, ["127.0.0.1:*"]);
  const host = await startChoosyHost(t, gateway, []);
  const page = await openPage(t, await startSite(t));
  const connected = await page.evaluate(
    ([bind, url]) => torque.TorqueSocket.connect(url, { bind }).then(() => "connected", ({ code }) => code),
    [gateway.url, host.url],
  );
  assert.equal(connected, "connected");
});

test("a page that floods is held back, and others are not", async (t) => {
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address], "--rate", "200");
  const site = await startSite(t);
  const [flooder, player] = [await openPage(t, site), await openPage(t, site)];
  await player.evaluate(
    async ([bind, url]) => {
      globalThis.connection = await torque.TorqueSocket.connect(url, { bind });
      connection.onpacket = () => undefined;
    },
    [gateway.url, host.url],
  );
  const flood = flooder.evaluate(
    async ([bind, url]) => {
      const { GatewaySession, TorqueSocket } = await import("/torque-socket/engine/testing.js");
      const { send } = GatewaySession.prototype;
      // Every datagram a hundred times.
      GatewaySession.prototype.send = function (remote, datagram) {
        for (let n = 0; n < 100; n++) send.call(this, remote, datagram);
      };
      const connection = await TorqueSocket.connect(url, { bind, worker: false });
      connection.onpacket = () => undefined;
      const flooding = setInterval(() => {
        for (let n = 0; n < 8; n++) connection.send("flood").catch(() => undefined);
      }, 10);
      const { code } = await connection.closed;
      clearInterval(flooding);
      return code;
    },
    [gateway.url, host.url],
  );
  const verdicts = await player.evaluate(async () => {
    const verdicts = [];
    for (let n = 0; n < 50; n++) {
      verdicts.push(await connection.send("a step"));
      await sleep(20);
    }
    return verdicts;
  });
  assert.ok(verdicts.filter((verdict) => verdict === "delivered").length >= 48, JSON.stringify(verdicts));
  assert.equal(await flood, "flooding");
  assert.equal(await player.evaluate(() => connection.send("afterwards")), "delivered");
});

test("a page for which the gateway has no session is told so, over either carrier", async (t) => {
  const gateway = await startGateway(t, [], "--max-sessions-of-client", "1");
  const page = await openPage(t, await startSite(t));
  const refused = await page.evaluate(async (bind) => {
    globalThis.first = new torque.TorqueSocket({ bind });
    await first.bind();
    const other = (...carriers) => failure(new torque.TorqueSocket({ bind, carriers }).bind());
    return [await other("webtransport"), await other("websocket"), await other("webtransport", "websocket")];
  }, gateway.url);
  for (const { code, message } of refused) {
    assert.equal(code, "too_many_sessions");
    assert.match(message, /all sessions for this network address are in use/);
  }
});
