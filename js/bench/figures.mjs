// What a page's socket costs: `cargo xtask web-figures` builds in release and runs this.
//
// Prints a table, or JSON with --json. Figures are those of the machine at that moment: run it on a quiet one.

import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

import { TorqueSocket } from "../dist/index.js";
import { dist, openPage, startGateway, startHost, startSite } from "../test/harness.mjs";
import { loadedByPage } from "../test/project.mjs";

const after = [];
/** What the tests' harness wants of a test. */
const t = { after: (act) => after.unshift(act), diagnostic: () => undefined };
const figures = {};
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value, digits = 2) => Number(value.toFixed(digits));

/** Processor time of a program so far, in microseconds. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

async function size() {
  for (const [what, module] of [["", "core.wasm"], [" with introductions", "core-introductions.wasm"]]) {
    const all = await Promise.all((await loadedByPage(dist, module)).map((name) => readFile(join(dist, name))));
    figures[`what a page loads${what}, kB gzipped (brotli)`] = [gzipSync, brotliCompressSync]
      .map((pack) => round(all.reduce((sum, bytes) => sum + pack(bytes).length, 0) / 1_000, 1))
      .join(" / ");
  }
}

/** Round trips of a bare UDP echo and of this library in Node: what a page's are held against. */
async function node(host) {
  const echo = createSocket("udp4").on("message", (message, { port }) => echo.send(message, port, "127.0.0.1"));
  await new Promise((resolve) => echo.bind(0, "127.0.0.1", resolve));
  const bare = createSocket("udp4");
  const times = [];
  for (let n = 0; n < 500; n++) {
    const start = performance.now();
    const back = new Promise((resolve) => bare.once("message", resolve));
    bare.send(new Uint8Array(100), echo.address().port, "127.0.0.1");
    await back;
    times.push(performance.now() - start);
  }
  bare.close();
  echo.close();
  figures["round trip, node:dgram, ms"] = round(median(times), 3);
  const connection = await TorqueSocket.connect(host.url);
  figures["round trip, TorqueSocket in Node, ms"] = round(median(await trips(connection)), 3);
  connection.close();
}

/** Round trips of 500 packets of 100 bytes, one after another, to a host that echoes. Also runs in pages. */
async function trips(connection) {
  const times = [];
  for (let n = 0; n < 500; n++) {
    const start = performance.now();
    const back = new Promise((resolve) => (connection.onpacket = resolve));
    connection.send(new Uint8Array(100)).catch(() => undefined);
    await back;
    times.push(performance.now() - start);
  }
  return times;
}

/** As many packets of 100 bytes as the window lets through, for three seconds; the host sends each back. Also runs in pages. */
async function flood(connection) {
  let delivered = 0;
  let received = 0;
  connection.onpacket = () => received++;
  const start = performance.now();
  const end = start + 3_000;
  await Promise.all(
    Array.from({ length: Math.floor(connection.window * 0.9) }, async () => {
      while (performance.now() < end) if ((await connection.send(new Uint8Array(100))) === "delivered") delivered++;
    }),
  );
  const seconds = (performance.now() - start) / 1_000;
  return { delivered: delivered / seconds, received: received / seconds, packets: delivered + received };
}

async function page(carrier, host) {
  const gateway = await startGateway(t, [host.address], "--rate", "1000000", "--rate-bytes", "1000000000", "--target-rate", "1000000", "--target-rate-of-client", "1000000", "--target-rate-bytes-of-client", "20000000");
  const page = await openPage(t, await startSite(t));
  await page.addScriptTag({ content: `${trips}\n${flood}` });
  const connects = await page.evaluate(
    async ([bind, url, carriers]) => {
      const times = [];
      for (let n = 0; n < 7; n++) {
        const start = performance.now();
        const connection = await torque.TorqueSocket.connect(url, { bind, carriers });
        times.push(performance.now() - start);
        connection.close();
      }
      return times;
    },
    [gateway.url, host.url, [carrier]],
  );
  figures[`${carrier}: connect, ms (first / later)`] = `${round(connects[0], 0)} / ${round(median(connects.slice(1)), 0)}`;
  for (const worker of [true, false]) {
    const before = cpu(gateway.pid);
    const seen = await page.evaluate(
      async ([bind, url, carriers, worker]) => {
        const connection = await torque.TorqueSocket.connect(url, { bind, carriers, worker, settings: "window=512" });
        const times = await trips(connection);
        const flooded = await flood(connection);
        connection.close();
        await connection.closed;
        return { times, flooded };
      },
      [gateway.url, host.url, [carrier], worker],
    );
    const where = worker ? "in a worker" : "without a worker";
    figures[`${carrier}, ${where}: round trip, ms`] = round(median(seen.times));
    figures[`${carrier}, ${where}: packets a second, out / in`] = `${round(seen.flooded.delivered, 0)} / ${round(seen.flooded.received, 0)}`;
    const packets = seen.flooded.packets + 2 * seen.times.length;
    figures[`${carrier}, ${where}: gateway's processor time, µs a packet`] = round((cpu(gateway.pid) - before) / packets, 1);
  }
}

try {
  await size();
  const host = await startHost(t);
  await node(host);
  for (const carrier of ["webtransport", "websocket"]) await page(carrier, host);
} finally {
  for (const act of after) await act();
}
if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
else for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(72)} ${value}`);
