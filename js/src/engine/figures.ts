/** Figures of one connection. Times are in milliseconds. */
export interface ConnectionFigures {
  /** When they were taken, on a clock of this socket: for the time between two looks. */
  time: number;
  /**
   * Smoothed round-trip time, its latest sample, the least sample of the last 5 to 10 s, and the mean deviation. While data is
   * sent they are a round trip or two old.
   */
  rtt: number;
  rttLatest: number;
  rttMin: number;
  jitter: number;
  /** Packets delivered each second, over the last whole second in which verdicts came. */
  deliveryRate: number;
  /** The share of this side's packets that were lost since the connection was established, 0 to 1. `ratesBetween` tells it for a span. */
  loss: number;
  /** Packets that await their verdict. */
  inFlight: number;
  /** What both sides settled on, as text. */
  settings: string;
  cipher: string;
  /** How the handshake went. */
  handshake: {
    /** Bits of client puzzle, and how many hashes and how long solving it took; 0 at the host. */
    difficulty: number;
    puzzleTries: number;
    puzzleTime: number;
    /** From the challenge request to its response; 0 at the host. */
    challengeTime: number;
    /** From `connect`, or from the request at the host, to being established. */
    totalTime: number;
    /** How often the host had the initiator begin again. */
    restarts: number;
  };
  /** Counters: `sent`, `delivered`, `dropped`, `received`, `missed`, `bytes_sent`, … as in `spec/API.md`. */
  counters: Record<string, number>;
}

interface CoreFigures {
  rtt: number;
  rtt_latest: number;
  rtt_min: number;
  jitter: number;
  delivery_rate: number;
  in_flight: number;
  settings: string;
  cipher: string;
  handshake: {
    difficulty: number;
    puzzle_tries: number;
    puzzle_time: number;
    challenge_time: number;
    total_time: number;
    restarts: number;
  };
  counters: Record<string, number>;
}

/** Reads the core's JSON, whose times are in microseconds. `time` is now. */
export function figuresOf(json: string, time: number): ConnectionFigures {
  const core = JSON.parse(json) as CoreFigures;
  const { handshake } = core;
  const { delivered = 0, dropped = 0 } = core.counters;
  return {
    time,
    rtt: core.rtt / 1_000,
    rttLatest: core.rtt_latest / 1_000,
    rttMin: core.rtt_min / 1_000,
    jitter: core.jitter / 1_000,
    deliveryRate: core.delivery_rate,
    loss: dropped > 0 ? dropped / (delivered + dropped) : 0,
    inFlight: core.in_flight,
    settings: core.settings,
    cipher: core.cipher,
    handshake: {
      difficulty: handshake.difficulty,
      puzzleTries: handshake.puzzle_tries,
      puzzleTime: handshake.puzzle_time / 1_000,
      challengeTime: handshake.challenge_time / 1_000,
      totalTime: handshake.total_time / 1_000,
      restarts: handshake.restarts,
    },
    counters: core.counters,
  };
}
