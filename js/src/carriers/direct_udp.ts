import { TorqueError } from "../error.js";
import { addressText, parseAddress, parseBind } from "./address.js";
import type { Carrier, CarrierListener } from "./carrier.js";

/** What Direct Sockets say of a datagram (https://wicg.github.io/direct-sockets/). */
interface UdpMessage {
  data: BufferSource;
  remoteAddress?: string;
  remotePort?: number;
}

interface UdpOpenInfo {
  readable: ReadableStream<UdpMessage>;
  writable: WritableStream<UdpMessage>;
  localAddress: string;
  localPort: number;
}

declare const UDPSocket: new (options: { localAddress: string; localPort?: number }) => {
  opened: Promise<UdpOpenInfo>;
  closed: Promise<void>;
  close(): Promise<void>;
};

/** Returns whether this page may use UDP itself: an Isolated Web App in Chromium. */
export function hasDirectSockets(): boolean {
  return typeof UDPSocket !== "undefined";
}

/** UDP by Direct Sockets. `bind` is `udp:` and an address and port. */
export async function openDirectUdp(bind: string, listener: CarrierListener): Promise<Carrier> {
  const place = parseBind(bind.replace(/^udp:/, ""));
  const socket = new UDPSocket({ localAddress: place.host || "::", ...(place.port ? { localPort: place.port } : {}) });
  let info: UdpOpenInfo;
  try {
    info = await socket.opened;
  } catch (error) {
    throw new TorqueError("bind_failed", `cannot bind ${bind}: ${String(error)}`);
  }
  const carrier = new DirectUdp(socket, info);
  void carrier.read(listener);
  return carrier;
}

class DirectUdp implements Carrier {
  readonly name = "direct-sockets";
  readonly address: string;
  readonly #isV6: boolean;
  readonly #writer: WritableStreamDefaultWriter<UdpMessage>;
  #over = false;

  constructor(
    private readonly socket: InstanceType<typeof UDPSocket>,
    private readonly info: UdpOpenInfo,
  ) {
    const { localAddress, localPort } = info;
    this.address = addressText(localAddress, localPort);
    this.#isV6 = localAddress.includes(":");
    this.#writer = info.writable.getWriter();
  }

  async read(listener: CarrierListener): Promise<void> {
    try {
      const reader = this.info.readable.getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        if (value.remoteAddress === undefined || !value.remotePort) continue;
        const { data } = value;
        const bytes = ArrayBuffer.isView(data)
          ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
          : new Uint8Array(data);
        listener.datagram(addressText(value.remoteAddress, value.remotePort), bytes);
      }
    } catch {
      // Told below.
    }
    if (!this.#over) listener.lost(new TorqueError("unreachable", "the UDP socket was closed"));
  }

  async resolve(host: string, port: number): Promise<[string]> {
    // The browser would resolve a name for sending, but answers come from an address that nobody told us.
    if (!/^[0-9.]+$|:/.test(host)) {
      throw new TorqueError("name_not_found", `${host}: here are no names, only IP addresses`);
    }
    return [addressText(host, port)];
  }

  send(remote: string, datagram: Uint8Array): void {
    const place = parseAddress(remote);
    if (!place || this.#over) return;
    // A socket of both families writes IPv4 addresses as IPv6.
    const remoteAddress = this.#isV6 && !place.host.includes(":") ? `::ffff:${place.host}` : place.host;
    this.#writer
      .write({ data: datagram.slice() as BufferSource, remoteAddress, remotePort: place.port })
      .catch(() => undefined);
  }

  close(): void {
    this.#over = true;
    this.#writer.close().catch(() => undefined);
    this.socket.close().catch(() => undefined);
  }
}
