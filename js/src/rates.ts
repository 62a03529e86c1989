import type { ConnectionFigures } from "./engine/figures.js";

/** How a connection fared between two looks at its figures. */
export interface Rates {
  /** The share of this side's packets that were lost, 0 to 1: the dropped ones among those with a verdict. */
  loss: number;
  /** The share of the other side's packets that never came, 0 to 1. */
  lossReceived: number;
  /** Bytes of datagrams each second, without the headers of UDP and IP. */
  bytesSent: number;
  bytesReceived: number;
}

/**
 * Compares two looks at the figures of one connection.
 *
 * ```ts
 * const before = await connection.getStats();
 * await oneSecond();
 * const after = await connection.getStats();
 * // There are no figures of a connection that has ended.
 * if (before && after) show(ratesBetween(before, after).loss);
 * ```
 */
export function ratesBetween(earlier: ConnectionFigures, later: ConnectionFigures): Rates {
  const passed = (counter: string) => (later.counters[counter] ?? 0) - (earlier.counters[counter] ?? 0);
  const share = (part: number, rest: number) => (part + rest > 0 ? part / (part + rest) : 0);
  const seconds = (later.time - earlier.time) / 1_000;
  const rate = (counter: string) => (seconds > 0 ? passed(counter) / seconds : 0);
  return {
    loss: share(passed("dropped"), passed("delivered")),
    lossReceived: share(passed("missed"), passed("received")),
    bytesSent: rate("bytes_sent"),
    bytesReceived: rate("bytes_received"),
  };
}
