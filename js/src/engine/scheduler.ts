/** Longest that one turn runs timers before the page, or the worker's other messages, get theirs: milliseconds. */
const TURN = 4;

/** Wakes the engine at its deadline, without ever holding the thread for long. */
export class Scheduler {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;
  /** A message to ourselves is under way, or its turn is. */
  #soonPending = false;
  #stopped = false;
  readonly #soon: { post(): void; close(): void };

  constructor(
    private readonly deadline: () => number,
    /** Does not throw. */
    private readonly run: (now: number) => void,
  ) {
    this.#soon = soon(() => this.#turn());
  }

  /** Sets the timer anew. */
  arm(): void {
    if (this.#stopped) return;
    const at = this.deadline();
    if (at === this.#at || this.#soonPending) return;
    clearTimeout(this.#timer);
    this.#at = at;
    if (at === Infinity) return;
    const wait = at - performance.now();
    if (wait <= 0) {
      this.#soonPending = true;
      this.#soon.post();
    } else {
      // Timers count in 32 bits.
      this.#timer = setTimeout(() => this.#turn(), Math.min(Math.ceil(wait), 2 ** 31 - 1));
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#soon.close();
  }

  /** Runs what is due, for example slices of a puzzle, for one turn at most. */
  #turn(): void {
    if (this.#stopped) return;
    this.#soonPending = true;
    const end = performance.now() + TURN;
    let now;
    do {
      now = performance.now();
      this.run(now);
    } while (!this.#stopped && this.deadline() <= now && now < end);
    this.#soonPending = false;
    this.#at = Infinity;
    this.arm();
  }
}

/** Calls `turn` as soon as the thread is free: a timer of 0 ms is put off by 4 when it is set again and again. */
function soon(turn: () => void): { post(): void; close(): void } {
  // In Node a port that posts to itself would starve everything else.
  if (typeof setImmediate === "function") return { post: () => void setImmediate(turn), close: () => undefined };
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = turn;
  return { post: () => port2.postMessage(0), close: () => port1.close() };
}
