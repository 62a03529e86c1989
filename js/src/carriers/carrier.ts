import type { TorqueError } from "../error.js";

/** What takes the datagrams of one socket from here to there. Remotes are numbers that the carrier gives out. */
export interface Carrier {
  /** Its name, for people. */
  readonly name: "webtransport" | "websocket" | "udp" | "direct-sockets";
  /** The socket's address as others see it. */
  readonly address: string;
  /** The key of the gateway, 32 bytes; where there is none, nothing. */
  readonly gatewayKey?: Uint8Array;
  /** The remote that a host and port stand for. Rejects with a {@link TorqueError} that says why there is none. */
  resolve(host: string, port: number): Promise<number>;
  /** Remembers a remote until `unpin` has been called as often as this. Others may be forgotten, for strangers. */
  pin?(remote: number): void;
  unpin?(remote: number): void;
  /** A remote's address as text. */
  addressOf(remote: number): string;
  /** Sends a datagram, or loses it. The bytes are valid only until this returns. */
  send(remote: number, datagram: Uint8Array): void;
  /** An origin token for a connection to this remote; `undefined` if none can be had. */
  attest?(remote: number, initiatorKey: Uint8Array, hostKey: Uint8Array): Promise<Uint8Array | undefined>;
  /** Lets go of everything. Nothing is told afterwards. */
  close(): void;
}

/** Whom a carrier tells. */
export interface CarrierListener {
  datagram(remote: number, datagram: Uint8Array): void;
  /** The carrier will be gone soon, and why: what there is to say has to be said now. */
  leaving(error: TorqueError): void;
  /** The carrier is gone, and why. Told once. */
  lost(error: TorqueError): void;
}
