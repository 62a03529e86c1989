/** The addresses of this machine, as Node tells them. */

import type * as Os from "node:os";

import { builtin } from "../platform.js";

const os = builtin<typeof Os>("node:os");

/** Where a UDP socket has to be bound to hear what is sent to an address of this machine, or to a whole network that it is in. */
export interface Place {
  /** What to bind to: `192.0.2.1`, `fe80::1%eth0`, `192.0.2.255`, `ff02::1%eth0`. */
  readonly address: string;
  readonly type: "udp4" | "udp6";
  /** The machine's own address there, from which to answer. */
  readonly local: string;
  /** The number of the interface for addresses that count only there; else 0. */
  readonly zone: number;
  /** Whether it is an address of the machine: else it only hears. */
  readonly isOwn: boolean;
}

/** So long the numbers of interfaces are taken to be what they were: milliseconds. */
const ZONES_AGE = 1_000;
/** What was told last, and when: asking costs a tenth of a millisecond, and zones are looked up for each datagram. */
let told: ReturnType<typeof os.networkInterfaces> = {};
let toldAt = -Infinity;

function interfaces(maxAge: number): typeof told {
  if (performance.now() - toldAt <= maxAge) return told;
  toldAt = performance.now();
  try {
    told = os.networkInterfaces();
  } catch {
    // Some systems do not say.
    told = {};
  }
  return told;
}

/** Every place to be bound to, to hear what a socket bound to all addresses would; none if the system does not say. */
export function places(): Place[] {
  const found = new Map<string, Place>();
  const add = (place: Place) => found.set(place.address, found.get(place.address) ?? place);
  for (const [name, entries = []] of Object.entries(interfaces(0))) {
    for (const entry of entries) {
      const { address: local } = entry;
      if (entry.family === "IPv4") {
        add({ address: local, type: "udp4", local, zone: 0, isOwn: true });
        const broadcast = broadcastOf(entry);
        if (broadcast) add({ address: broadcast, type: "udp4", local, zone: 0, isOwn: false });
      } else if (entry.scopeid === 0) {
        add({ address: local, type: "udp6", local, zone: 0, isOwn: true });
      } else {
        const zone = entry.scopeid;
        const at = globalThis.process.platform === "win32" ? zone : name;
        add({ address: `${local}%${at}`, type: "udp6", local, zone, isOwn: true });
        add({ address: `ff02::1%${at}`, type: "udp6", local, zone, isOwn: false });
      }
    }
  }
  return [...found.values()];
}

function broadcastOf({ address, netmask, internal }: Os.NetworkInterfaceInfo): string | undefined {
  if (internal) return undefined;
  const [ip, mask] = [address, netmask].map((text) => text.split(".").map(Number)) as [number[], number[]];
  // Two addresses, or one, are no network with an address for all.
  if (mask[3]! >= 254) return undefined;
  return ip.map((byte, at) => byte | (~mask[at]! & 0xff)).join(".");
}

/** The number of an interface, which the core knows it by; `undefined` if there is none of that name. */
export function zoneNumber(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  return interfaces(ZONES_AGE)[name]?.find(({ scopeid }) => scopeid)?.scopeid;
}

/** What Node calls the interface with this number. */
export function zoneName(number: string): string {
  if (globalThis.process.platform === "win32") return number;
  const has = (entries: Os.NetworkInterfaceInfo[] | undefined) => entries?.some(({ scopeid }) => scopeid === Number(number));
  return Object.entries(interfaces(ZONES_AGE)).find(([, entries]) => has(entries))?.[0] ?? number;
}
