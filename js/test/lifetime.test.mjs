// How connections of pages end, and what they outlive.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DraftSocket } from "../dist/draft.js";
import { browserName, openPage, startGateway, startHost, startPlainBrowser, startSite } from "./harness.mjs";

/** Some tests do things to a page that only Chromium can. */
const onlyInChromium = browserName === "chromium" ? false : "needs Chromium";

/** A host in this process that notes every close. Pings fast, so that silence is noticed soon. */
async function startNotingHost(t) {
  const host = new DraftSocket({ bind: "127.0.0.1:0", pingInterval: 500, pingLimit: 4 });
  t.after(() => host.shutdown());
  const seen = { requests: 0, packets: 0, closes: [] };
  let wake = () => undefined;
  host.on_connect_request = (id) => {
    seen.requests++;
    if (!seen.silent) host.accept_connection(id);
    wake();
  };
  host.on_packet = (id, sequence, data) => {
    seen.packets++;
    seen.last = new TextDecoder().decode(data);
    host.send_to(id, data);
    wake();
  };
  host.on_close = (id, reason, { code, by }) => {
    seen.closes.push({ code, by, at: performance.now() });
    wake();
  };
  await host.bind();
  const until = async (holds, what, time = 15_000) => {
    const end = performance.now() + time;
    while (!holds()) {
      assert.ok(performance.now() < end, `${what} within ${time} ms: ${JSON.stringify(seen)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 50);
        wake = () => (clearTimeout(timer), resolve());
      });
    }
  };
  return { seen, until, url: host.url, address: host.address };
}

/** Connects and sends 60 packets a second. */
const play = async ([bind, url, options]) => {
  globalThis.connection = await torque.TorqueSocket.connect(url, { bind, ...options });
  globalThis.ended = undefined;
  void connection.closed.then((end) => (ended = end));
  setInterval(() => connection.send("position").catch(() => undefined), 16);
};

/** The ways in which a page goes. */
const WAYS = {
  closed: (page) => page.close(),
  navigated: (page, site) => page.goto(`${site.origin}/elsewhere`),
  reloaded: (page) => page.reload(),
};

for (const [way, go] of Object.entries(WAYS)) {
  for (const carrier of ["webtransport", "websocket"]) {
    for (const worker of [true, false]) {
      test(`a tab ${way} in mid-game is a normal close for the others (${carrier}, worker: ${worker})`, async (t) => {
        const host = await startNotingHost(t);
        const gateway = await startGateway(t, [host.address]);
        const site = await startSite(t, { "/elsewhere": "elsewhere" });
        const page = await openPage(t, site);
        await page.evaluate(play, [gateway.url, host.url, { worker, carriers: [carrier] }]);
        await host.until(() => host.seen.packets > 10, "packets");
        const at = performance.now();
        await go(page, site);
        await host.until(() => host.seen.closes.length > 0, "a close");
        const [close] = host.seen.closes;
        assert.deepEqual([close.code, close.by], ["shutting_down", "remote"]);
        t.diagnostic(`heard ${(close.at - at).toFixed(0)} ms after the tab was told to go`);
      });
    }
  }
}

test("a tab closed in mid-handshake leaves nothing at the host", async (t) => {
  const host = await startNotingHost(t);
  host.seen.silent = true;
  const gateway = await startGateway(t, [host.address]);
  const page = await openPage(t, await startSite(t));
  await page.evaluate(
    async ([bind, url]) => {
      globalThis.socket = new torque.DraftSocket({ bind });
      socket.connect(url, "who decides slowly?");
    },
    [gateway.url, host.url],
  );
  await host.until(() => host.seen.requests === 1, "a request");
  await page.close();
  // The next page is served as if nothing had been.
  host.seen.silent = false;
  const next = await openPage(t, await startSite(t));
  await next.evaluate(play, [gateway.url, host.url, {}]);
  await host.until(() => host.seen.packets > 0, "packets of the next page");
});

test("a crashed tab is noticed by liveness", { skip: onlyInChromium }, async (t) => {
  const host = await startNotingHost(t);
  const gateway = await startGateway(t, [host.address]);
  const page = await openPage(t, await startSite(t));
  await page.evaluate(play, [gateway.url, host.url, {}]);
  await host.until(() => host.seen.packets > 10, "packets");
  const session = await page.context().newCDPSession(page);
  session.send("Page.crash").catch(() => undefined);
  // 500 ms of silence, four pings that nobody answers.
  await host.until(() => host.seen.closes.length > 0, "a close", 10_000);
  const [close] = host.seen.closes;
  assert.deepEqual([close.code, close.by], ["timed_out", "socket"]);
});

test("a tab hidden for a minute stays connected", { skip: onlyInChromium }, async (t) => {
  const host = await startNotingHost(t);
  const gateway = await startGateway(t, [host.address]);
  const script = `
    import { TorqueSocket } from "/torque-socket/index.js";
    const options = { bind: "${gateway.url}", pingInterval: 2_000 };
    const connection = await TorqueSocket.connect("${host.url}", options);
    connection.onpacket = () => undefined;
    // A tab that is hidden has its timers slowed down to one a minute after a while: the first one counts.
    setInterval(() => connection.send(document.visibilityState), 1_000);`;
  const site = await startSite(t, { "/hidden.html": `<script type=module>${script}</script>` });
  const browser = await startPlainBrowser(t, `${site.origin}/hidden.html`);
  await host.until(() => host.seen.last === "visible", "a visible tab");
  await browser.newTab();
  await host.until(() => host.seen.last === "hidden", "a hidden tab");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
  assert.deepEqual(host.seen.closes, []);
  assert.equal(host.seen.last, "hidden");
});

test("a gateway that dies is noticed, named, and followed by another one", async (t) => {
  const host = await startHost(t);
  for (const carrier of ["webtransport", "websocket"]) {
    const first = await startGateway(t, [host.address]);
    const page = await openPage(t, await startSite(t));
    await page.evaluate(
      async ([bind, url, carrier]) => {
        globalThis.connection = await torque.TorqueSocket.connect(url, { bind, carriers: [carrier] });
      },
      [first.url, host.url, carrier],
    );
    await first.stop("SIGKILL");
    const told = await page.evaluate(async (url) => {
      const { code, by } = await connection.closed;
      const end = await connection.socket.closed;
      return { code, by, end: end.code };
    });
    assert.deepEqual(told, { code: "gateway_lost", by: "socket", end: "gateway_lost" }, carrier);
    const second = await startGateway(t, [host.address], "--listen", `localhost:${first.port}`);
    const again = await page.evaluate(
      async ([bind, url, carrier]) => {
        const connection = await torque.TorqueSocket.connect(url, { bind, carriers: [carrier] });
        return connection.send("again");
      },
      [second.url, host.url, carrier],
    );
    assert.equal(again, "delivered", carrier);
  }
});

test("a gateway that is told to end says so to its pages, and they to their hosts", async (t) => {
  for (const carrier of ["webtransport", "websocket"]) {
    const host = await startNotingHost(t);
    const gateway = await startGateway(t, [host.address]);
    const page = await openPage(t, await startSite(t));
    await page.evaluate(
      async ([bind, url, carrier]) => {
        globalThis.connection = await torque.TorqueSocket.connect(url, { bind, carriers: [carrier] });
      },
      [gateway.url, host.url, carrier],
    );
    const stopped = gateway.stop("SIGTERM");
    const codes = await page.evaluate(async () => [(await connection.closed).code, (await connection.socket.closed).code]);
    assert.deepEqual(codes, ["gateway_draining", "gateway_draining"], carrier);
    // They close their connections before it is gone.
    await host.until(() => host.seen.closes.length > 0, "a close", 1_000);
    const [{ code, by }] = host.seen.closes;
    assert.deepEqual([code, by], ["shutting_down", "remote"], carrier);
    assert.equal(await stopped, 0);
  }
});

test("pages play on while their gateway goes away, and reconnect to another one", async (t) => {
  const host = await startNotingHost(t);
  const [first, second] = [await startGateway(t, [host.address], "--drain", "4"), await startGateway(t, [host.address])];
  const site = await startSite(t);
  const pages = [];
  for (const carrier of ["webtransport", "websocket"]) {
    const page = await openPage(t, site);
    pages.push(page);
    const options = { carriers: [carrier], reconnect: { firstDelay: 50 } };
    await page.evaluate(play, [[first.url, second.url], host.url, options]);
    await page.evaluate(() => { connection.socket.ondraining = (time) => { globalThis.drainTime = time; }; });
  }
  await host.until(() => host.seen.packets > 20, "packets");
  const stopped = first.stop();
  const all = await Promise.all(pages.map((page) => page.evaluate(async () => {
    while (globalThis.drainTime === undefined) await sleep(10);
    const verdict = await connection.send("while it drains");
    const { code } = await connection.closed;
    const next = await connection.successor;
    return { drainTime, verdict, code, next: await next.send("back again") };
  })));
  for (const { drainTime, ...seen } of all) {
    assert.ok(drainTime > 3_000 && drainTime <= 4_000, `${drainTime}`);
    assert.deepEqual(seen, { verdict: "delivered", code: "gateway_draining", next: "delivered" });
  }
  await stopped;
  // They heard of it at once, not by silence.
  assert.deepEqual(host.seen.closes.map(({ code }) => code), ["shutting_down", "shutting_down"]);
});
