import type { RemoteInfo } from "node:dgram";
import type * as Dns from "node:dns/promises";

import { TorqueError } from "../error.js";
import { builtin } from "../platform.js";
import { type Address, addressText, isUnspecified, parseAddress, parseBind } from "./address.js";
import type { Carrier, CarrierListener } from "./carrier.js";
import { places, zoneName, zoneNumber } from "./node_interfaces.js";
import { OneSocket, SocketAtEach, type Sockets } from "./node_sockets.js";

const dns = builtin<typeof Dns>("node:dns/promises");

/** How many addresses of a name are tried: as many as the core takes. */
const MAX_TRIED = 16;
/** How often it is looked whether the machine has other addresses, once others have been told of them: milliseconds. */
const WATCH_TIME = 2_000;
/** Datagrams that wait until it is known from where their remote is reached: the first ones of an introduction. */
const MAX_WAITING = 64;
/** How many entries each {@link Sources} has at most. */
const MAX_SOURCES = 16_384;

/** The local address that datagrams leave from, where the core names none: by the remote or by its IP address. The oldest are forgotten. */
type Sources = Map<string, string>;

/** UDP in Node. `bind` is an address and port; empty for any. Only a host needs a socket at every address. */
export async function openNodeUdp(bind: string, isHost: boolean, listener: CarrierListener): Promise<Carrier> {
  const { host, port } = parseBind(bind);
  const carrier = new NodeUdp(listener);
  const listen = (message: Buffer, from: RemoteInfo, local: string) => carrier.received(message, from, local);
  try {
    const isEverywhere = host === "" || isUnspecified(host);
    if (isEverywhere && isHost && places().length > 0) carrier.sockets = await SocketAtEach.open(port, listen);
    else carrier.sockets = await OneSocket.open(isEverywhere ? "" : host, port, listen);
    // As it stands in a URL.
    carrier.address = addressText(await carrier.sockets.reachableAt(), carrier.sockets.port).replace("%", "%25");
    return carrier;
  } catch (error) {
    throw new TorqueError("bind_failed", `cannot bind ${bind || "a UDP port"}: ${String(error)}`);
  }
}

class NodeUdp implements Carrier {
  readonly name = "udp";
  address = "";
  sockets!: Sockets;
  /** From where this socket reaches the IP addresses that it has looked up, at any port. Nothing that comes changes it: anybody can forge that. */
  readonly #routes: Sources = new Map();
  /** Where questions outside of connections came to, by the remote: their answers leave from there. */
  readonly #asked: Sources = new Map();
  #closed = false;
  /** Tells which addresses the machine has now. */
  #addressesChanged: ((addresses: string[]) => void) | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  /** The IP addresses whose route is being looked up, and what waits for it. */
  readonly #routing = new Map<string, (() => void)[]>();

  constructor(private readonly listener: CarrierListener) {}

  received(message: Buffer, { address, port }: RemoteInfo, local: string): void {
    // A forged source, which cannot be answered.
    if (port === 0 || this.#closed) return;
    const remote = textOf(address, port);
    if (!remote) return;
    if (local && isInfo(message)) remember(this.#asked, remote, local);
    this.listener.datagram(remote, message, local);
  }

  async resolve(host: string, port: number): Promise<[string, ...string[]]> {
    let found;
    try {
      found = await dns.lookup(host, { all: true });
    } catch {
      throw new TorqueError("name_not_found", `${host} has no address`);
    }
    const remotes: string[] = [];
    for (const { address, family } of found) {
      const type = family === 6 ? "udp6" : "udp4";
      // What filters of names answer for those that they do not like.
      if (isUnspecified(address) || !this.sockets.reaches(type) || remotes.length === MAX_TRIED) continue;
      const remote = textOf(address, port);
      if (!remote) continue;
      const source = await this.sockets.sourceFor(type, nodeHost(address));
      if (source === undefined) continue;
      if (source) remember(this.#routes, parseAddress(remote)!.host, source);
      remotes.push(remote);
    }
    if (this.#closed) throw new TorqueError("closed", "the socket was shut down meanwhile");
    const [first, ...others] = remotes;
    if (!first) throw new TorqueError("no_route", `${host} has no address that this socket can reach`);
    return [first, ...others];
  }

  send(remote: string, datagram: Uint8Array, local: string, hopLimit: number): void {
    if (this.#closed) return;
    const place = parseAddress(remote);
    if (!place) return;
    const source = local || (isInfo(datagram) ? this.#asked.get(remote) : undefined) || this.#routes.get(place.host);
    // Introducers name addresses that nobody has looked up.
    if (source === undefined && this.#addressesChanged && this.sockets.hasSeveral) return this.#findRoute(place, datagram.slice(), hopLimit);
    this.sockets.send(datagram, nodeHost(place.host), place.port, source ?? "", hopLimit);
  }

  async ownAddresses(changed: (addresses: string[]) => void): Promise<string[]> {
    this.#addressesChanged = changed;
    let known = await this.sockets.ownAddresses();
    if (this.#watch || this.#closed) return known;
    const look = async () => {
      const now = await this.sockets.ownAddresses();
      if (this.#closed || String(now) === String(known)) return;
      known = now;
      // They may be reached from elsewhere now.
      this.#routes.clear();
      this.#addressesChanged?.(now);
    };
    this.#watch = setInterval(() => void look(), WATCH_TIME);
    this.#watch.unref();
    return known;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#watch);
    // What it said last has reached the system. Its port is free at once: the program may bind it again.
    this.sockets.close();
  }

  /** Looks up from where an IP address is reached, and sends what has gathered for it meanwhile. */
  #findRoute({ host, port }: Address, datagram: Uint8Array, hopLimit: number): void {
    const send = () => this.sockets.send(datagram, nodeHost(host), port, this.#routes.get(host) ?? "", hopLimit);
    const waiting = this.#routing.get(host);
    if (waiting) {
      if (waiting.length < MAX_WAITING) waiting.push(send);
      return;
    }
    this.#routing.set(host, [send]);
    const type = host.includes(":") ? "udp6" : "udp4";
    void this.sockets.sourceFor(type, nodeHost(host)).then((source) => {
      const gathered = this.#routing.get(host) ?? [];
      this.#routing.delete(host);
      // Without a way there, it is the kernel that says so.
      remember(this.#routes, host, source ?? "");
      if (!this.#closed) for (const act of gathered) act();
    });
  }
}

function remember(sources: Sources, key: string, local: string): void {
  sources.delete(key);
  sources.set(key, local);
  if (sources.size > MAX_SOURCES) sources.delete(sources.keys().next().value!);
}

/** Returns whether a datagram is an info packet (spec/PROTOCOL.md 2.1). */
function isInfo(datagram: Uint8Array): boolean {
  return datagram[0]! >= 0x20 && datagram[0]! < 0x80;
}

/** What Node tells, as the core writes it: a zone is a number, and an IPv4 address that came as IPv6 is IPv4. */
function textOf(address: string, port: number): string | undefined {
  const [host = "", zone] = address.replace(/^::ffff:(?=[\d.]+$)/, "").split("%");
  if (zone === undefined) return addressText(host, port);
  const number = zoneNumber(zone);
  return number === undefined ? undefined : addressText(`${host}%${number}`, port);
}

/** An IP address as Node takes it: with the name of its zone. */
function nodeHost(host: string): string {
  const at = host.indexOf("%");
  return at < 0 ? host : `${host.slice(0, at)}%${zoneName(host.slice(at + 1))}`;
}
