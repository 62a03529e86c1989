// The parts that need no network.

import assert from "node:assert/strict";
import { test } from "node:test";

import { control, coreOptions, engineOptions, linkOf, noteCarrier, readContext, withContext } from "../dist/engine/testing.js";

const hex = (text) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("contexts are QUIC's shortest integers", () => {
  // RFC 9000, appendix A.1, and the limits of each length.
  for (const [context, bytes] of [[37, "25"], [63, "3f"], [64, "4040"], [15_293, "7bbd"], [16_384, "80004000"], [494_878_333, "9d7f3e7d"]]) {
    const message = withContext(context, hex("aabb"));
    assert.equal(Buffer.from(message).toString("hex"), `${bytes}aabb`);
    assert.deepEqual(readContext(message), { context, length: bytes.length / 2 });
  }
  for (const bytes of ["", "40", "800000", "c000000000000001"]) assert.equal(readContext(hex(bytes)), undefined, bytes);
});

test("control messages are those of GATEWAY.md 3", () => {
  const text = (bytes) => Buffer.from(bytes).toString("hex");
  assert.equal(text(control.open(2, "host", 28_000)), "01 00000002 0004 686f7374 6d60".replaceAll(" ", ""));
  assert.equal(text(control.forget(7)), "0200000007");
  const key = (byte) => new Uint8Array(32).fill(byte);
  assert.equal(text(control.attest(1, 2, key(0xaa), key(0xbb))), `030000000100000002${"aa".repeat(32)}${"bb".repeat(32)}`);
  assert.deepEqual(control.read(hex(`80 01 ${"cc".repeat(32)} 04 7f000001 1151`)), {
    kind: "welcome",
    version: 1,
    gatewayKey: key(0xcc),
    address: "127.0.0.1:4433",
  });
  assert.deepEqual(control.read(hex("81 00000002 06 20010db8000000000000000000000001 0050")), {
    kind: "opened",
    context: 2,
    address: "[2001:db8::1]:80",
  });
  assert.deepEqual(control.read(hex("82 00000002 01 0002 6e6f")), { kind: "refused", context: 2, code: 1, reason: "no" });
  assert.deepEqual(control.read(hex("84 00000009 0000")), { kind: "attested", request: 9, token: new Uint8Array() });
  assert.deepEqual(control.read(hex("85")), { kind: "alive" });
  assert.deepEqual(control.read(hex("86 02 0000")), { kind: "closing", code: 2, reason: "" });
  assert.deepEqual(control.read(hex("88 00007530")), { kind: "draining", time: 30_000 });
  assert.equal(control.read(hex("99 0102")), undefined, "an unknown kind is ignored");
});

test("malformed control messages are refused, whatever is wrong with them", () => {
  const whole = [`80 01 ${"cc".repeat(32)} 04 7f000001 1151`, "81 00000002 04 7f000001 0050", "82 00000002 01 0002 6e6f", "84 00000009 0002 0102", "86 02 0001 6e", "87 00000001", "88 00007530"];
  for (const message of whole.map(hex)) {
    control.read(message);
    for (let length = 0; length < message.length; length++) assert.throws(() => control.read(message.subarray(0, length)), RangeError);
    assert.throws(() => control.read(Uint8Array.of(...message, 0)), RangeError);
  }
  assert.throws(() => control.read(hex("81 00000002 05 7f000001 0050")), RangeError, "a family that there is not");
});

test("IPv6 addresses are written as RFC 5952 wants it", () => {
  for (const [groups, text] of [
    [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], "2001:db8::1:0:0:1"],
    [[0, 0, 0, 0, 0, 0, 0, 0], "::"],
    [[0, 0, 0, 0, 0, 0, 0, 1], "::1"],
    [[1, 0, 2, 3, 4, 5, 6, 7], "1:0:2:3:4:5:6:7"],
    [[1, 2, 3, 4, 5, 6, 0, 0], "1:2:3:4:5:6::"],
  ]) {
    assert.equal(control.ipv6Text(groups), text);
  }
});

test("links are read from text or figures", () => {
  const nothing = { delay: NaN, jitter: NaN, loss: NaN, reorder: NaN, duplicate: NaN };
  const link = { preset: 0, ...nothing, delay: 40, jitter: 10, loss: 0.05 };
  assert.deepEqual(linkOf("delay=40ms, jitter=10,loss=5%"), link);
  assert.deepEqual(linkOf({ delay: 40, jitter: 10, loss: 0.05 }), link);
  assert.deepEqual(linkOf("perfect"), { preset: 0, ...nothing });
  assert.deepEqual(linkOf("mobile"), { preset: 2, ...nothing });
  assert.deepEqual(linkOf("mobile, loss=10%"), { preset: 2, ...nothing, loss: 0.1 });
  for (const text of ["delay", "delay=-1", "speed=3", "loss=a", "loss=5%,mobile", "moblie"]) assert.throws(() => linkOf(text), { code: "invalid_argument" });
});

test("options reach the core a line each", () => {
  const lines = coreOptions({ applicationId: "game", allowedOrigins: ["https://a", "https://b"], difficulty: { max: 9 } }).split("\n");
  for (const line of ["application_id=game", "allowed_origin=https://a", "allowed_origin=https://b", "difficulty_max=9"]) {
    assert.ok(lines.includes(line), line);
  }
  assert.throws(() => coreOptions({ allowedOrigins: ["https://a\nkey_pair=x"] }), { code: "invalid_argument" });
});

test("WebSocket is tried first for five minutes from when it came first, however often it comes first meanwhile", (t) => {
  globalThis.WebTransport = class {};
  t.after(() => delete globalThis.WebTransport);
  let minutes = 0;
  t.mock.method(performance, "now", () => minutes * 60_000);
  const first = () => engineOptions({}).carriers?.[0] ?? "webtransport";
  assert.equal(first(), "webtransport");
  for (minutes of [1, 3, 5]) {
    noteCarrier({}, "websocket");
    assert.equal(first(), "websocket", `${minutes}`);
  }
  minutes = 7;
  assert.equal(first(), "webtransport");
  noteCarrier({}, "websocket");
  assert.equal(first(), "websocket", "WebTransport did not come first once more");
  noteCarrier({}, "webtransport");
  assert.equal(first(), "webtransport");
});
