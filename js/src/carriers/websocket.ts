import { TorqueError } from "../error.js";
import type { CarrierListener } from "./carrier.js";
import { GatewaySession, type Transport } from "./gateway.js";

/** How many bytes may wait in the browser. Beyond that, datagrams are dropped here: late ones are worth nothing. */
const WAITING_BYTES = 256 * 1_024;

/** The code of RFC 6455 with which a browser closes what a page leaves open. */
const GOING_AWAY = 1_001;

/** A session over WebSocket, for browsers and networks without WebTransport: ordered, so that a lost segment delays all. */
export async function openWebSocket(base: URL, listener: CarrierListener, signal: AbortSignal): Promise<GatewaySession> {
  const scheme = base.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${base.host}/torque`);
  socket.binaryType = "arraybuffer";
  const gateway = new GatewaySession(new Messages(socket), base, listener);
  socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
    const message = new Uint8Array(data);
    if (message[0] === 0) gateway.control(message.subarray(1));
    else gateway.datagram(message);
  };
  socket.onclose = ({ code, reason }) => {
    // Gateways do not say so: it is the browser, and some do so before the page hears that it has to go.
    if (code === GOING_AWAY) gateway.pageLeaves();
    gateway.lost(new TorqueError("gateway_lost", reason || "the gateway ended the session: connect again"));
  };
  return gateway.ready(signal);
}

class Messages implements Transport {
  readonly name = "websocket";

  constructor(private readonly socket: WebSocket) {}

  sendControl(message: Uint8Array): void {
    const framed = new Uint8Array(1 + message.length);
    framed.set(message, 1);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(framed);
  }

  sendDatagram(message: Uint8Array<ArrayBuffer>): void {
    if (this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount < WAITING_BYTES) {
      this.socket.send(message);
    }
  }

  close(): void {
    this.socket.onclose = null;
    this.socket.close();
  }
}
