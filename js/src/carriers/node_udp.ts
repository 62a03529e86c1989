import type { Socket, RemoteInfo } from "node:dgram";

import { TorqueError } from "../error.js";
import type { Carrier, CarrierListener } from "./carrier.js";
import { Probes } from "./probes.js";
import { Remotes } from "./remotes.js";

/** Bytes of the kernel's buffers: a burst that the event loop is late for should not be lost. */
const BUFFER_BYTES = 1 << 21;

/** UDP in Node. `bind` is an address and port; empty for any. */
export async function openNodeUdp(bind: string, listener: CarrierListener): Promise<Carrier> {
  const { createSocket } = await import("node:dgram");
  const { lookup } = await import("node:dns/promises");
  const place = parseBind(bind);
  const open = (type: "udp4" | "udp6", address: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = createSocket({ type, recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES });
      socket.once("error", reject);
      socket.bind({ address, port: place.port }, () => {
        socket.off("error", reject);
        resolve(socket);
      });
    });
  let socket: Socket;
  try {
    if (place.host === "" || place.host === "0.0.0.0") {
      // One socket for both families where there is IPv6.
      socket = await open("udp6", "::").catch(() => open("udp4", "0.0.0.0"));
    } else {
      socket = await open(place.host.includes(":") ? "udp6" : "udp4", place.host);
    }
  } catch (error) {
    throw new TorqueError("bind_failed", `cannot bind ${bind || "a UDP port"}: ${String(error)}`);
  }
  return new NodeUdp(socket, lookup, listener);
}

type Lookup = typeof import("node:dns/promises").lookup;

class NodeUdp implements Carrier {
  readonly name = "udp";
  readonly address: string;
  readonly #isV6: boolean;
  readonly #remotes = new Remotes();
  readonly #probes = new Probes((remote, probe) => this.send(remote, probe));
  #closed = false;

  constructor(
    private readonly socket: Socket,
    private readonly lookup: Lookup,
    listener: CarrierListener,
  ) {
    const { address, port, family } = socket.address();
    this.#isV6 = family === "IPv6";
    this.address = this.#isV6 ? `[${address}]:${port}` : `${address}:${port}`;
    socket.on("message", (message: Buffer, from: RemoteInfo) => {
      // A forged source, which cannot be answered.
      if (from.port === 0) return;
      const remote = this.#remotes.number(from.address, from.port);
      if (!this.#probes.heard(remote, message)) listener.datagram(remote, message);
    });
    // Errors of single datagrams are losses; the socket goes on.
    socket.on("error", () => undefined);
  }

  async resolve(host: string, port: number): Promise<number> {
    let found;
    try {
      found = await this.lookup(host, { all: true });
    } catch {
      throw new TorqueError("name_not_found", `${host} has no address`);
    }
    if (this.#closed) throw new TorqueError("closed", "the socket was shut down meanwhile");
    const usable = this.#isV6 ? found : found.filter(({ family }) => family === 4);
    const remotes = usable.slice(0, 4).map(({ address, family }) => {
      return this.#remotes.number(this.#isV6 && family === 4 ? `::ffff:${address}` : address, port);
    });
    if (remotes.length === 0) throw new TorqueError("no_route", `${host} has no address that this socket can reach`);
    return this.#probes.first(remotes);
  }

  pin(remote: number): void {
    this.#remotes.pin(remote);
  }

  unpin(remote: number): void {
    this.#remotes.unpin(remote);
  }

  addressOf(remote: number): string {
    return this.#remotes.text(remote);
  }

  send(remote: number, datagram: Uint8Array): void {
    const place = this.#remotes.place(remote);
    if (!place || this.#closed) return;
    try {
      // The socket keeps the bytes until they are sent.
      this.socket.send(datagram.slice(), place.port, place.host, () => undefined);
    } catch {
      // What cannot be sent is lost.
    }
  }

  close(): void {
    this.#closed = true;
    this.#probes.stop();
    this.socket.removeAllListeners("message");
    this.socket.close();
  }
}

/** `192.0.2.1:28000`, `[2001:db8::1]:28000`, or nothing. `0.0.0.0` and `[::]` are all addresses, of both families. */
export function parseBind(bind: string): { host: string; port: number } {
  if (bind === "") return { host: "", port: 0 };
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([0-9.]+|localhost)):(\d{1,5})$/.exec(bind);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new TorqueError("invalid_argument", `${bind}: in Node a socket is bound to an address and port, 0.0.0.0:28000 or [::]:28000`);
  }
  return { host: match[1] ?? match[2] ?? "", port };
}
