/** So many remotes are remembered; strangers beyond that take the place of the oldest strangers. */
const MAX_REMOTES = 65_536;

/** Numbers for addresses and ports, for carriers that have those. */
export class Remotes {
  readonly #numbers = new Map<string, number>();
  readonly #places = new Map<number, { host: string; port: number }>();
  #next = 1;

  /** The number of an address, the same as long as it is remembered. */
  number(host: string, port: number): number {
    const key = `${port} ${host}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#numbers.size >= MAX_REMOTES) {
      const oldest = this.#places.keys().next();
      if (!oldest.done) this.#forget(oldest.value);
    }
    const number = this.#next++;
    this.#numbers.set(key, number);
    this.#places.set(number, { host, port });
    return number;
  }

  place(number: number): { host: string; port: number } | undefined {
    return this.#places.get(number);
  }

  /** As text; an IPv4 address that came as IPv6 is written as what it is. */
  text(number: number): string {
    const place = this.#places.get(number);
    if (!place) return "";
    const host = place.host.startsWith("::ffff:") ? place.host.slice(7) : place.host;
    return host.includes(":") ? `[${host}]:${place.port}` : `${host}:${place.port}`;
  }

  #forget(number: number): void {
    const place = this.#places.get(number);
    if (!place) return;
    this.#places.delete(number);
    this.#numbers.delete(`${place.port} ${place.host}`);
  }
}
