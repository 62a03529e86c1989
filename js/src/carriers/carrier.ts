import type { TorqueError } from "../error.js";

/**
 * Moves the datagrams of one socket. Remotes are IP addresses and ports, `192.0.2.1:28000` or
 * `[2001:db8::1]:28000` (with a zone, its number: `[fe80::1%3]:28000`), whatever carries the datagrams: origin tokens are made
 * for an address, and hosts check them against it.
 */
export interface Carrier {
  /** Its name, for people. */
  readonly name: "webtransport" | "websocket" | "udp" | "direct-sockets";
  /** The socket's address as others see it. */
  readonly address: string;
  /** The key of the gateway, 32 bytes, if there is one. */
  readonly gatewayKey?: Uint8Array;
  /**
   * Resolves a host and port to remotes, best first: the core asks each in its turn. Rejects with a {@link TorqueError} that says
   * why there is none.
   */
  resolve(host: string, port: number): Promise<[string, ...string[]]>;
  /**
   * Sends a datagram, or loses it; from this local IP address if one is named and the carrier can, and through this many routers at
   * most if it is not 0 and the carrier can. The bytes are valid only until this returns.
   */
  send(remote: string, datagram: Uint8Array, local: string, hopLimit: number): void;
  /**
   * The addresses of this machine at which others may reach the socket, for the other parties of introductions (spec/INTRODUCTIONS.md 3).
   * When they change, `changed` is told; of several calls the last one's.
   */
  ownAddresses?(changed: (addresses: string[]) => void): Promise<string[]>;
  /** An origin token for a connection to this remote; `undefined` if there is none. */
  attest?(remote: string, initiatorKey: Uint8Array, hostKey: Uint8Array): Promise<Uint8Array | undefined>;
  /** The page goes away. What `act` sends reaches its remotes although the page may be gone before it leaves the browser. */
  leave?(act: () => void): void;
  /** Releases everything. The listener hears nothing afterwards. */
  close(): void;
}

/** Hears what happens to a carrier. */
export interface CarrierListener {
  /** A datagram has come; to this local IP address, where the carrier can tell. */
  datagram(remote: string, datagram: Uint8Array, local?: string): void;
  /** The carrier will be gone in `time` milliseconds, and connects to no other remote until then. */
  draining(time: number): void;
  /** The page goes away: its browser has begun to end what it has open. */
  pageLeaves(): void;
  /** The carrier is gone, and why. Called once. */
  lost(error: TorqueError): void;
}
