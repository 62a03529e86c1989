/** Numbers of the core's interface. Written by `cargo xtask codes` from `spec/codes.csv`: change them there. */

/** The kinds of events; 0 is none. */
export const EVENT = {
  /** The host has shown its key and data and waits for an answer. */
  challenge_response: 1,
  /** An initiator asks to be let in. */
  connect_request: 2,
  /** The connection is up. */
  established: 3,
  /** The connection has ended. */
  close: 4,
  /** A packet of the other application came. */
  packet: 5,
  /** The verdict on a packet that was sent. */
  verdict: 6,
  /** A datagram outside any connection came. */
  info_packet: 7,
  /** The connection takes another path. */
  path_changed: 8,
  /** A party asks to be introduced and waits for an answer. */
  introduction_requested: 9,
  /** What became of an introduction. */
  introduced: 10,
  /** How this socket's NAT behaves. */
  nat_found: 11,
} as const;

/** Verdicts by number. */
export const DELIVERIES = ["dropped", "delivered", "unknown"] as const;

/** Who ends a connection, by number. */
export const CLOSED_BY = ["application", "remote", "socket"] as const;
