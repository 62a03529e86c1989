// A gateway without a network: stands in for WebSocket, and carries datagrams to one UDP host. In it everything can be made
// to go wrong.

import { createSocket } from "node:dgram";

import { Core } from "../dist/engine/testing.js";

const core = await Core.load();
const key = core.publicKeyBytes(core.publicKeyOf(core.generateKeyPair()));
const here = [4, 127, 0, 0, 1, 0x17, 0x70];

/**
 * Replaces `WebSocket` and `fetch` until the test is over. `behaviour` says what the gateway does with each session, in turn:
 * `welcome`, `late` (a welcome when the next carrier is being tried), `refuse` (says that there are too many instead), `drop` (ends before
 * the welcome), or `silence`. `target` is where datagrams go, `token` the bytes of an origin token.
 */
export function fakeGateway(t, { behaviour = ["welcome"], target, token = new Uint8Array() } = {}) {
  const gateway = {
    sessions: [],
    description: { version: 1, origin_allowed: true },
    /** Tells all sessions something. */
    tell: (bytes) => gateway.sessions.forEach((session) => session.tell(bytes)),
    end: () => gateway.sessions.forEach((session) => session.end()),
  };
  class Session {
    static OPEN = 1;
    readyState = 0;
    bufferedAmount = 0;
    #udp = createSocket("udp4");

    constructor(url) {
      this.url = url;
      const act = behaviour[Math.min(gateway.sessions.push(this), behaviour.length) - 1];
      this.#udp.on("message", (bytes) => this.onmessage?.({ data: Uint8Array.of(2, ...bytes).buffer }));
      setTimeout(() => {
        if (act === "silence" || this.readyState > 1) return;
        this.readyState = 1;
        if (act === "drop") this.end();
        else if (act === "refuse") this.tell(Uint8Array.of(0, 0x86, 6, 0, 8, ...new TextEncoder().encode("too many")));
        else this.tell(Uint8Array.of(0, 0x80, 1, ...key, ...here));
      }, act === "late" ? 600 : 5);
    }

    tell(bytes) {
      this.onmessage?.({ data: bytes.buffer });
    }

    send(message) {
      const bytes = Uint8Array.from(message);
      if (bytes[0] !== 0) return target && this.#udp.send(bytes.subarray(1), target.port, target.host);
      if (bytes[1] === 0x01) this.tell(Uint8Array.of(0, 0x81, ...bytes.subarray(2, 6), ...here));
      if (bytes[1] === 0x03) this.tell(Uint8Array.of(0, 0x84, ...bytes.subarray(2, 6), token.length >> 8, token.length & 0xff, ...token));
    }

    /** The gateway ends it. */
    end() {
      this.close();
      this.onclose?.({ reason: "" });
    }

    close() {
      if (this.readyState < 2) this.#udp.close();
      this.readyState = 3;
    }
  }
  const saved = [globalThis.WebSocket, globalThis.fetch];
  globalThis.WebSocket = Session;
  globalThis.fetch = async () => new Response(JSON.stringify(gateway.description));
  t.after(() => {
    gateway.end();
    [globalThis.WebSocket, globalThis.fetch] = saved;
  });
  return gateway;
}
