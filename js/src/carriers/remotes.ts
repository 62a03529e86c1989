/** So many remotes are remembered besides those that are in use. */
const MAX_STRANGERS = 65_536;

interface Place {
  readonly host: string;
  readonly port: number;
  readonly number: number;
  /** How often it is pinned. */
  pins: number;
}

/** Numbers for addresses and ports, for carriers that have those. Whoever writes gets one; only who is pinned keeps it. */
export class Remotes {
  readonly #byKey = new Map<string, Place>();
  readonly #byNumber = new Map<number, Place>();
  /** Those that are not pinned, first the one that was last heard of the longest ago. */
  readonly #strangers = new Set<Place>();
  #next = 1;

  /** The number of an address, the same as long as it is remembered. */
  number(host: string, port: number): number {
    const key = keyOf(host, port);
    let place = this.#byKey.get(key);
    if (!place) {
      place = { host, port, number: this.#next++, pins: 0 };
      this.#byKey.set(key, place);
      this.#byNumber.set(place.number, place);
    }
    if (place.pins === 0) this.#noteStranger(place);
    return place.number;
  }

  pin(number: number): void {
    const place = this.#byNumber.get(number);
    if (!place) return;
    place.pins++;
    this.#strangers.delete(place);
  }

  unpin(number: number): void {
    const place = this.#byNumber.get(number);
    if (place && --place.pins === 0) this.#noteStranger(place);
  }

  place(number: number): { host: string; port: number } | undefined {
    return this.#byNumber.get(number);
  }

  /** As text; an IPv4 address that came as IPv6 is written as what it is. */
  text(number: number): string {
    const place = this.#byNumber.get(number);
    if (!place) return "";
    const host = place.host.startsWith("::ffff:") ? place.host.slice(7) : place.host;
    return host.includes(":") ? `[${host}]:${place.port}` : `${host}:${place.port}`;
  }

  #noteStranger(place: Place): void {
    this.#strangers.delete(place);
    this.#strangers.add(place);
    if (this.#strangers.size <= MAX_STRANGERS) return;
    const oldest = this.#strangers.values().next().value!;
    this.#strangers.delete(oldest);
    this.#byNumber.delete(oldest.number);
    this.#byKey.delete(keyOf(oldest.host, oldest.port));
  }
}

function keyOf(host: string, port: number): string {
  return `${port} ${host}`;
}
