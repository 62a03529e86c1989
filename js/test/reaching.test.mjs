// How pages reach a gateway where something stands in between: networks without UDP, policies, other origins.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer, request as ask } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";

import { openPage, startGateway, startHost, startSite } from "./harness.mjs";

/** A gateway's TCP port at another address, whose UDP port says nothing, as behind a firewall. */
async function startWithoutUdp(t, gateway) {
  const udp = createSocket("udp6");
  let datagrams = 0;
  udp.on("message", () => datagrams++);
  await new Promise((resolve) => udp.bind(0, "::", resolve));
  const server = createServer((request, response) => {
    ask({ host: "localhost", port: gateway.port, path: request.url, headers: request.headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part)).on("end", () => {
        const description = { ...JSON.parse(Buffer.concat(parts).toString()), webtransport_port: udp.address().port };
        response.writeHead(answer.statusCode, { "access-control-allow-origin": "*" }).end(JSON.stringify(description));
      });
    }).end();
  });
  server.on("upgrade", (request, socket) => {
    const there = connect(gateway.port, "localhost", () => {
      const headers = request.rawHeaders.map((text, at) => text + (at % 2 ? "\r\n" : ": ")).join("");
      there.write(`GET ${request.url} HTTP/1.1\r\n${headers}\r\n`);
      socket.pipe(there).pipe(socket);
    });
    for (const end of [socket, there]) end.on("error", () => undefined);
    t.after(() => there.destroy());
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    udp.close();
  });
  return { url: `http://localhost:${server.address().port}`, datagrams: () => datagrams };
}

test("where UDP is blocked WebSocket is tried before WebTransport has failed, and first from then on", async (t) => {
  const host = await startHost(t);
  const gateway = await startWithoutUdp(t, await startGateway(t, [host.address]));
  const page = await openPage(t, await startSite(t));
  const seen = await page.evaluate(
    async ([bind, url]) => {
      let order = [];
      const { WebTransport, WebSocket } = globalThis;
      globalThis.WebTransport = class extends WebTransport {
        constructor(...given) {
          super(...given);
          order.push("webtransport");
          this.ready.catch(() => order.push("no webtransport"));
        }
      };
      globalThis.WebSocket = class extends WebSocket {
        constructor(...given) {
          super(...given);
          order.push("websocket");
        }
      };
      const seen = [];
      for (let n = 0; n < 2; n++) {
        order = [];
        const connection = await torque.TorqueSocket.connect(url, { bind, worker: false });
        seen.push({ carrier: connection.socket.carrier, order: order.slice(0, 2), verdict: await connection.send("hello") });
        connection.close();
        await connection.closed;
      }
      return seen;
    },
    [gateway.url, host.url],
  );
  assert.deepEqual(seen[0], { carrier: "websocket", order: ["webtransport", "websocket"], verdict: "delivered" });
  assert.equal(seen[1].carrier, "websocket");
  assert.equal(seen[1].order[0], "websocket");
  assert.ok(gateway.datagrams() > 0, "UDP was tried");
});

test("a page may load the package from another origin", async (t) => {
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address]);
  const [site, elsewhere] = [await startSite(t), await startSite(t)];
  const page = await openPage(t, site, "/", false);
  const verdict = await page.evaluate(
    async ([from, bind, url]) => {
      const { TorqueSocket } = await import(`${from}/torque-socket/index.js`);
      const connection = await TorqueSocket.connect(url, { bind });
      return connection.send("hello");
    },
    [elsewhere.origin, gateway.url, host.url],
  );
  assert.equal(verdict, "delivered");
});

/** What comes of connecting in a page with this policy. */
async function underPolicy(t, policyOf, options = {}) {
  const host = await startHost(t);
  const gateway = await startGateway(t, [host.address]);
  const script = `
    import { TorqueSocket } from "/torque-socket/index.js";
    globalThis.outcome = TorqueSocket.connect("${host.url}", { bind: "${gateway.url}", ...${JSON.stringify(options)} }).then(
      (connection) => connection.send("hello").then((verdict) => ({ carrier: connection.socket.carrier, verdict })),
      ({ code, message }) => ({ code, message }),
    );`;
  const pages = { "/page.html": "<script type=module src=/main.js></script>", "/main.js": script };
  const site = await startSite(t, pages, undefined, { "content-security-policy": policyOf(gateway.url.replace("http://", "")) });
  const page = await openPage(t, site, "/page.html", false);
  await page.waitForFunction(() => globalThis.outcome);
  return page.evaluate(() => outcome);
}

const connectTo = (gateway) => `connect-src 'self' http://${gateway} https://${gateway} ws://${gateway}`;

test("the documented Content-Security-Policy is enough", async (t) => {
  const policy = (gateway) => `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; ${connectTo(gateway)}`;
  assert.deepEqual(await underPolicy(t, policy), { carrier: "webtransport", verdict: "delivered" });
});

for (const [what, policy, options, code, advice] of [
  ["WebAssembly", (gateway) => `script-src 'self'; worker-src 'self'; ${connectTo(gateway)}`, {}, "blocked_by_csp", /'wasm-unsafe-eval'/],
  ["the worker", (gateway) => `script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'; ${connectTo(gateway)}`, {}, "worker_missing", /worker-src/],
  ["the gateway", () => "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'", {}, "blocked_by_csp", /connect-src/],
  ["the gateway", () => "script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'", { worker: false }, "blocked_by_csp", /connect-src/],
]) {
  test(`a Content-Security-Policy that forbids ${what} is named (${JSON.stringify(options)})`, async (t) => {
    const outcome = await underPolicy(t, policy, options);
    assert.equal(outcome.code, code, JSON.stringify(outcome));
    assert.match(outcome.message, advice);
  });
}
