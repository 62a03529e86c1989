/** A farewell is at most as long as requests may be that outlive a page. */
const MAX_BYTES = 60_000;

/**
 * The last datagrams of a page that goes away (spec/GATEWAY.md 1.1): its browser may end the session before they have left, so
 * they go by a request as well that outlives the page.
 */
export class Farewell {
  /** Random, so that it tells the session. */
  readonly key = crypto.getRandomValues(new Uint8Array(16));
  #frames: Uint8Array[] | undefined;
  #length = 0;

  constructor(private readonly gateway: URL) {}

  /** From now on, datagrams that are sent belong to it. */
  begin(): void {
    if (this.#frames) return;
    this.#frames = [this.key];
    this.#length = this.key.length;
  }

  /** Notes a frame if this has begun. */
  add(frame: Uint8Array): void {
    if (!this.#frames || this.#length + 2 + frame.length > MAX_BYTES) return;
    this.#frames.push(Uint8Array.of(frame.length >> 8, frame.length & 0xff), frame);
    this.#length += 2 + frame.length;
  }

  /** Sends it, if there is something to say. */
  post(): void {
    const frames = this.#frames;
    this.#frames = undefined;
    if (!frames || frames.length === 1) return;
    // Not a blob, which would be read from a process that ends.
    const body = new Uint8Array(this.#length);
    let at = 0;
    for (const part of frames) {
      body.set(part, at);
      at += part.length;
    }
    // Nobody is there to hear of a failure.
    fetch(new URL("/torque/farewell", this.gateway), { method: "POST", mode: "no-cors", keepalive: true, body }).catch(() => undefined);
  }
}
