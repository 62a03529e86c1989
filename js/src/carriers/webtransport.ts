import { TorqueError } from "../error.js";
import type { CarrierListener } from "./carrier.js";
import { GatewaySession, type Transport } from "./gateway.js";

/** Datagrams that wait in the browser beyond this are lost here instead: late ones are worth nothing. */
const WAITING_DATAGRAMS = 256;

/** A session over WebTransport. `hashes` are SHA-256 of certificates to take although nobody vouches for them. */
export async function openWebTransport(
  base: URL,
  port: number,
  hashes: Uint8Array[],
  listener: CarrierListener,
  signal: AbortSignal,
): Promise<GatewaySession> {
  const options: WebTransportOptions = { requireUnreliable: true };
  if (hashes.length > 0) {
    options.serverCertificateHashes = hashes.map((value) => ({ algorithm: "sha-256", value: value as BufferSource }));
  }
  const session = new WebTransport(`https://${base.hostname}:${port}/torque`, options);
  const transport = new Streams(session);
  const gateway = new GatewaySession(transport, base, listener);
  const broke = (error: unknown) => gateway.lost(new TorqueError("gateway_lost", `the session with the gateway broke: ${String(error)}`));
  session.closed.then(
    (info) => gateway.lost(new TorqueError("gateway_lost", info.reason || "the gateway ended the session: connect again")),
    broke,
  );
  session.ready
    .then(() => session.createBidirectionalStream())
    .then((stream) => {
      transport.control = stream.writable.getWriter();
      void readDatagrams(session, gateway);
      void readControl(stream.readable, gateway);
    })
    .catch(broke);
  return gateway.ready(signal);
}

class Streams implements Transport {
  readonly name = "webtransport";
  /** When it is open. */
  control: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array>;
  #waiting = 0;

  constructor(private readonly session: WebTransport) {
    this.#datagrams = (session.datagrams.writable as WritableStream<Uint8Array>).getWriter();
  }

  sendControl(message: Uint8Array): void {
    const framed = new Uint8Array(2 + message.length);
    new DataView(framed.buffer).setUint16(0, message.length);
    framed.set(message, 2);
    // If the stream is broken, `closed` tells so.
    this.control?.write(framed).catch(() => undefined);
  }

  sendDatagram(message: Uint8Array<ArrayBuffer>): void {
    if (this.#waiting >= WAITING_DATAGRAMS) return;
    this.#waiting++;
    const done = () => { this.#waiting--; };
    this.#datagrams.write(message).then(done, done);
  }

  close(): void {
    try {
      this.session.close();
    } catch {
      // It was closed already.
    }
  }
}

async function readDatagrams(session: WebTransport, gateway: GatewaySession): Promise<void> {
  const reader = (session.datagrams.readable as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      gateway.datagram(value);
    }
  } catch {
    // `closed` tells why.
  }
}

/** Cuts the control stream into messages. */
async function readControl(stream: ReadableStream<Uint8Array>, gateway: GatewaySession): Promise<void> {
  let waiting = new Uint8Array();
  try {
    const reader = stream.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return gateway.lost(new TorqueError("gateway_lost", "the gateway ended the session: connect again"));
      const joined = new Uint8Array(waiting.length + value.length);
      joined.set(waiting);
      joined.set(value, waiting.length);
      waiting = joined;
      for (;;) {
        if (waiting.length < 2) break;
        const length = waiting[0]! * 256 + waiting[1]!;
        if (waiting.length < 2 + length) break;
        gateway.control(waiting.subarray(2, 2 + length));
        waiting = waiting.slice(2 + length);
      }
    }
  } catch {
    // `closed` tells why.
  }
}
