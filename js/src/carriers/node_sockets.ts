/**
 * The UDP sockets of one carrier in Node.
 *
 * Node cannot choose the address that a datagram leaves from, nor tell which one a datagram came to. At a machine with several
 * addresses the answer would leave from another one than was asked, and nobody would take it. So a host at every address of the
 * machine has a socket at each of them.
 */

import type * as Dgram from "node:dgram";

import { builtin } from "../platform.js";
import { addressText } from "./address.js";
import { type Place, places } from "./node_interfaces.js";

const dgram = builtin<typeof Dgram>("node:dgram");

/** Bytes of the kernel's buffers: a burst that the event loop is late for should not be lost. */
const BUFFER_BYTES = 1 << 21;
/** How often the addresses of the machine are looked up again: milliseconds. */
const REFRESH_TIME = 2_000;
/** How many ports are tried until one is free at every address. */
const PORT_TRIES = 16;
/** Addresses reserved for documentation: nobody has them, so the route to them is the default route. Nothing is sent there. */
const FAR = { udp4: "192.0.2.1", udp6: "2001:db8::1" } as const;

type Type = "udp4" | "udp6";
/** Is given every datagram, and the local address that it came to. */
export type Listen = (message: Buffer, from: Dgram.RemoteInfo, local: string) => void;

/** What a carrier sends through. */
export interface Sockets {
  readonly port: number;
  /** Whether there are several, one of which a datagram has to leave from. */
  readonly hasSeveral: boolean;
  /** Returns whether addresses of this family can be reached. */
  reaches(type: Type): boolean;
  /** The address that others reach it by, without the port. */
  reachableAt(): Promise<string>;
  /** The local address from which datagrams to a remote leave, or "" if it is the kernel's choice; `undefined` if there is no way. */
  sourceFor(type: Type, host: string): Promise<string | undefined>;
  /** Where others may reach it, at most four of its addresses with their port (spec/INTRODUCTIONS.md 3, kind 1). */
  ownAddresses(): Promise<string[]>;
  /** Sends, or loses. Through this many routers at most, if it is not 0. */
  send(datagram: Uint8Array, host: string, port: number, local: string, hopLimit: number): void;
  close(): void;
}

/** One socket: at a single address, or for who only connects, where the kernel's choice of a source is right. */
export class OneSocket implements Sockets {
  readonly port: number;
  readonly hasSeveral = false;
  readonly #isV6: boolean;
  readonly #address: string;

  private constructor(
    private readonly socket: Dgram.Socket,
    private readonly isAnywhere: boolean,
  ) {
    const { address, port, family } = socket.address();
    this.port = port;
    this.#address = address;
    this.#isV6 = family === "IPv6";
  }

  static async open(host: string, port: number, listen: Listen): Promise<OneSocket> {
    const to = (message: Buffer, from: Dgram.RemoteInfo) => listen(message, from, "");
    if (host !== "") return new OneSocket(await bind(host.includes(":") ? "udp6" : "udp4", host, port, to), false);
    // One socket for both families where there is IPv6.
    return new OneSocket(await bind("udp6", "::", port, to).catch(() => bind("udp4", "0.0.0.0", port, to)), true);
  }

  reaches(type: Type): boolean {
    return this.#isV6 ? type === "udp6" || this.isAnywhere : type === "udp4";
  }

  async reachableAt(): Promise<string> {
    if (!this.isAnywhere) return this.#address;
    const all = places().filter(({ isOwn }) => isOwn);
    return bestOf(all.filter(({ type }) => this.reaches(type)));
  }

  async sourceFor(): Promise<string> {
    return "";
  }

  async ownAddresses(): Promise<string[]> {
    if (!this.isAnywhere) return [addressText(this.#address, this.port)];
    const own = places().filter(({ isOwn, type }) => isOwn && this.reaches(type));
    return usefulOf(own, this.port);
  }

  send(datagram: Uint8Array, host: string, port: number, _: string, hopLimit: number): void {
    sendTo(this.socket, datagram, this.#isV6 && !host.includes(":") ? `::ffff:${host}` : host, port, hopLimit);
  }

  close(): void {
    this.socket.removeAllListeners("message").close();
  }
}

/** A socket at each address of the machine, also at those that it gets later. */
export class SocketAtEach implements Sockets {
  readonly hasSeveral = true;
  readonly #sockets = new Map<string, { place: Place; socket: Dgram.Socket }>();
  #closed = false;
  /** Until it is done. */
  #refreshing: Promise<void> | undefined;
  readonly #timer: ReturnType<typeof setInterval>;

  private constructor(
    readonly port: number,
    private readonly listen: Listen,
  ) {
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_TIME);
    this.#timer.unref();
  }

  /** At this port everywhere; 0 is any that is free everywhere. */
  static async open(port: number, listen: Listen): Promise<SocketAtEach> {
    for (let tries = 1; ; tries++) {
      const at = port || (await freePort());
      const sockets = new SocketAtEach(at, listen);
      try {
        await sockets.#openMissing(places(), true);
        return sockets;
      } catch (error) {
        sockets.close();
        if (port !== 0 || tries === PORT_TRIES || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      }
    }
  }

  reaches(type: Type): boolean {
    return this.#own().some((place) => place.type === type);
  }

  async reachableAt(): Promise<string> {
    return bestOf(this.#own());
  }

  async sourceFor(type: Type, host: string): Promise<string | undefined> {
    const source = await routeTo(type, host);
    if (source === undefined || source === "") return source;
    const has = () => this.#own().some(({ local }) => local === source);
    // The machine may have it for a moment only.
    if (!has()) await this.#refresh();
    return has() ? source : undefined;
  }

  async ownAddresses(): Promise<string[]> {
    return usefulOf(this.#own(), this.port);
  }

  send(datagram: Uint8Array, host: string, port: number, local: string, hopLimit: number): void {
    const [, zone = "0"] = host.split("%");
    const type = host.includes(":") ? "udp6" : "udp4";
    for (const { place, socket } of this.#sockets.values()) {
      if (!place.isOwn || (local ? place.local !== local : place.type !== type)) continue;
      if (place.zone === 0 || place.address.endsWith(`%${zone}`)) return sendTo(socket, datagram, host, port, hopLimit);
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const { socket } of this.#sockets.values()) socket.removeAllListeners("message").close();
    this.#sockets.clear();
  }

  #own(): Place[] {
    return [...this.#sockets.values()].map(({ place }) => place).filter(({ isOwn }) => isOwn);
  }

  /** Looks the addresses up again, or waits for that if it is being done. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#follow().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #follow(): Promise<void> {
    if (this.#closed) return;
    const now = places();
    // Then it was not said; a machine has one at least.
    if (now.length === 0) return;
    for (const [address, { socket }] of this.#sockets) {
      if (now.some((place) => place.address === address)) continue;
      this.#sockets.delete(address);
      socket.removeAllListeners("message").close();
    }
    await this.#openMissing(now, false);
  }

  /** Opens the sockets that are missing. One that cannot be opened yet, such as at an IPv6 address that is still being checked, waits for the next time. */
  async #openMissing(all: Place[], isStart: boolean): Promise<void> {
    let failure: unknown;
    for (const place of all.filter(({ address }) => !this.#sockets.has(address))) {
      try {
        const socket = await bind(place.type, place.address, this.port, (message, from) => this.listen(message, from, place.local));
        if (this.#closed) return void socket.close();
        this.#sockets.set(place.address, { place, socket });
      } catch (error) {
        if (!place.isOwn) continue;
        failure ??= error;
        // Another program would get what is meant for this host.
        if (isStart && (error as NodeJS.ErrnoException).code === "EADDRINUSE") throw error;
      }
    }
    if (isStart && this.#own().length === 0) throw failure;
  }
}

function bind(type: Type, address: string, port: number, listen: (message: Buffer, from: Dgram.RemoteInfo) => void): Promise<Dgram.Socket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket({ type, recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES, lookup: noLookup });
    const fail = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once("error", fail);
    socket.bind({ address, port }, () => {
      socket.off("error", fail);
      // Errors of single datagrams are losses; the socket goes on.
      socket.on("error", () => undefined);
      socket.on("message", listen);
      resolve(socket);
    });
  });
}

/** Here are no names, only IP addresses. Told at once, so that `send` hands the datagram to the system before it returns. */
function noLookup(host: string, _: unknown, tell: (error: null, address: string, family: number) => void): void {
  tell(null, host, host.includes(":") ? 6 : 4);
}

/** What systems have when a program says nothing. */
const USUAL_HOPS = 64;

function sendTo(socket: Dgram.Socket, datagram: Uint8Array, host: string, port: number, hopLimit: number): void {
  try {
    // Node has it for a whole socket only. That of an IPv6 socket does not count for the IPv4 datagrams of it: these go further than they have to.
    if (hopLimit > 0) socket.setTTL(hopLimit);
    // The socket keeps the bytes until they are sent.
    socket.send(datagram.slice(), port, host, () => undefined);
  } catch {
    // What cannot be sent is lost.
  }
  if (hopLimit > 0) resetHops(socket);
}

function resetHops(socket: Dgram.Socket): void {
  try {
    socket.setTTL(USUAL_HOPS);
  } catch {
    // The socket is closed.
  }
}

/** A port that is free at most addresses, probably at all. */
async function freePort(): Promise<number> {
  const socket = await OneSocket.open("", 0, () => undefined);
  socket.close();
  return socket.port;
}

/** The address that the kernel would send from; `undefined` where there is no way, "" if it does not say. Nothing is sent. */
function routeTo(type: Type, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(type);
    const answer = (local: string | undefined) => {
      socket.close();
      resolve(local);
    };
    socket.once("error", () => answer(undefined));
    try {
      socket.connect(9, host, () => answer(socket.address().address.split("%")[0]));
    } catch {
      // Not every runtime has this of Node.
      answer("");
    }
  });
}

/** Of a machine's own addresses the one that most others reach it by: that of its way to the world, or else to its neighbours. */
async function bestOf(own: Place[]): Promise<string> {
  for (const type of ["udp4", "udp6"] as const) {
    const source = await routeTo(type, FAR[type]);
    if (own.some(({ local, zone }) => local === source && zone === 0 && !isLoopback(local))) return source!;
  }
  const rest = own.filter(({ zone }) => zone === 0);
  const best = rest.find(({ local }) => !isLoopback(local)) ?? rest[0] ?? own[0];
  return best?.local ?? "127.0.0.1";
}

/** How many addresses are named to introducers. */
const MAX_NAMED = 4;
/** The end of an address that no machine of a network has (RFC 2526), in an IPv6 network of 64 bits. */
const NOBODY = "fdff:ffff:ffff:ff80";

/**
 * Of a machine's own addresses those at which others may reach it, with the port: first the ones from which it sends to the world. Never
 * link-local ones, whose zone differs on each machine; loopback ones only if there are no others. Of each IPv6 network the one from which the
 * system sends there: a temporary one (RFC 8981), if it has any.
 */
async function usefulOf(own: readonly Place[], port: number): Promise<string[]> {
  const usual = await Promise.all([routeTo("udp4", FAR.udp4), routeTo("udp6", FAR.udp6)]);
  const isLinkLocal = ({ local, zone }: Place) => zone !== 0 || local.startsWith("169.254.");
  const far = own.filter((place) => !isLinkLocal(place) && !isLoopback(place.local));
  const isPreferred = await Promise.all(
    far.map(async ({ type, local }) => {
      if (type === "udp4") return true;
      const source = await routeTo(type, `${networkOf(local)}:${NOBODY}`);
      // No way there is no reason against an address.
      return !source || source === local;
    }),
  );
  const found = far.filter((_, at) => isPreferred[at]).map(({ local }) => local);
  const isUsual = (local: string) => Number(usual.includes(local));
  found.sort((a, b) => isUsual(b) - isUsual(a));
  if (found.length === 0) found.push(...own.filter(({ local }) => isLoopback(local)).map(({ local }) => local));
  return [...new Set(found)].slice(0, MAX_NAMED).map((local) => addressText(local, port));
}

/** The first 64 bits of an IPv6 address, as four groups. */
function networkOf(address: string): string {
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const rest = tail === "" ? [] : tail.split(":");
    while (groups.length + rest.length < 8) groups.push("0");
    groups.push(...rest);
  }
  return groups.slice(0, 4).join(":");
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
