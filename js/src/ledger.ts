/** What became of a packet: the other application took it, it never will, or the connection ended before its side could tell. */
export type Verdict = "delivered" | "dropped" | "unknown";

/** Is told the verdict on one packet. */
type Settle = (verdict: Verdict, packet: number) => void;

interface Sent {
  readonly settle: Settle;
  /** The core did not take the packet, so no verdict will come from there. */
  refused: boolean;
}

/**
 * Matches the packets of one connection to their verdicts: each packet gets one, in the order of sending. Nothing else keeps
 * count of packets outside the core.
 *
 * @internal
 */
export class Ledger {
  /** How many packets have been sent so far; the last one has this number. */
  #sent = 0;
  /** The packets without a verdict, oldest first. */
  readonly #open: Sent[] = [];

  /** How many packets await their verdict. */
  get inFlight(): number {
    return this.#open.length;
  }

  /** Notes a packet and returns its number. Numbers start at 1. */
  add(settle: Settle): number {
    this.#open.push({ settle, refused: false });
    return ++this.#sent;
  }

  /** The core did not take this packet. It counts as dropped when its turn comes. */
  refuse(packet: number): void {
    const sent = this.#open[packet - this.#sent + this.#open.length - 1];
    if (sent) sent.refused = true;
    this.#settleRefused();
  }

  /** The core's verdict on the oldest packet that it took. */
  settle(verdict: Verdict): void {
    this.#settleOldest(verdict);
    this.#settleRefused();
  }

  /** The connection has ended: the fate of packets still open stays unknown. */
  close(): void {
    while (this.#open.length > 0) this.settle("unknown");
  }

  #settleRefused(): void {
    while (this.#open[0]?.refused) this.#settleOldest("dropped");
  }

  #settleOldest(verdict: Verdict): void {
    const packet = this.#sent - this.#open.length + 1;
    this.#open.shift()?.settle(verdict, packet);
  }
}
