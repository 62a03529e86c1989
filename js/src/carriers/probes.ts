/** How long the addresses of a name are probed, in milliseconds from the beginning. */
const PROBE_AT = [0, 250, 750, 1_500];
const PROBE_TIME = 3_000;

/** Finds out which of several addresses somebody listens at: a host echoes a probe (spec/PROTOCOL.md 4.9). */
export class Probes {
  readonly #waiting = new Map<string, (remote: string) => void>();

  constructor(private readonly send: (remote: string, probe: Uint8Array) => void) {}

  /** The first remote that echoes; if none does, the first of the list. */
  async first(remotes: string[]): Promise<string> {
    if (remotes.length === 1) return remotes[0]!;
    const nonce = crypto.getRandomValues(new Uint8Array(16));
    const probe = Uint8Array.of(0x0b, ...nonce);
    const timers: ReturnType<typeof setTimeout>[] = [];
    const answered = await new Promise<string>((resolve) => {
      this.#waiting.set(nonce.join(), resolve);
      for (const at of PROBE_AT) timers.push(setTimeout(() => remotes.forEach((remote) => this.send(remote, probe)), at));
      timers.push(setTimeout(() => resolve(remotes[0]!), PROBE_TIME));
    });
    timers.forEach(clearTimeout);
    this.#waiting.delete(nonce.join());
    return answered;
  }

  /** Ends all probing; what it was for comes to nothing. */
  stop(): void {
    for (const resolve of this.#waiting.values()) resolve("");
  }

  /** Returns whether a datagram is an echo that somebody waits for, and tells them. */
  heard(remote: string, datagram: Uint8Array): boolean {
    if (datagram[0] !== 0x0c || datagram.length !== 17 || this.#waiting.size === 0) return false;
    const resolve = this.#waiting.get(datagram.subarray(1).join());
    resolve?.(remote);
    return resolve !== undefined;
  }
}
