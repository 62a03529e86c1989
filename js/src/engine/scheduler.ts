/** Longest that one turn runs timers before the page, or the worker's other messages, get theirs: milliseconds. */
const TURN = 4;

/** Wakes the engine at its deadline, without ever holding the thread for long. */
export class Scheduler {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;
  /** A message to ourselves is under way, or its turn is. */
  #soonPending = false;
  readonly #soon = new MessageChannel();

  constructor(
    private readonly deadline: () => number,
    private readonly run: (now: number) => void,
  ) {
    // A message comes as soon as the thread is free; a timer of 0 ms is put off by 4 when it is set again and again.
    this.#soon.port1.onmessage = () => this.#turn();
  }

  /** Sets the timer anew. */
  arm(): void {
    const at = this.deadline();
    if (at === this.#at || this.#soonPending) return;
    clearTimeout(this.#timer);
    this.#at = at;
    if (at === Infinity) return;
    const wait = at - performance.now();
    if (wait <= 0) {
      this.#soonPending = true;
      this.#soon.port2.postMessage(0);
    } else {
      // Timers count in 32 bits.
      this.#timer = setTimeout(() => this.#turn(), Math.min(Math.ceil(wait), 2 ** 31 - 1));
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#soon.port1.close();
  }

  /** Runs what is due, for example slices of a puzzle, for one turn at most. */
  #turn(): void {
    this.#soonPending = true;
    const end = performance.now() + TURN;
    let now;
    do {
      now = performance.now();
      this.run(now);
    } while (this.deadline() <= now && now < end);
    this.#soonPending = false;
    this.#at = Infinity;
    this.arm();
  }
}
