import { TorqueError } from "../error.js";
import type { Relay } from "../introductions.js";

/** What `crates/torque-wasm/src/exports.rs` exports; that file says what each does. */
interface Exports extends Partial<IntroductionExports> {
  memory: WebAssembly.Memory;
  scratch(): number;
  scratch_size(): number;
  out(): number;
  out_length(): number;
  begin(options: number, unixMillis: number, now: number): number;
  public_key(): number;
  set_key_pair(length: number): number;
  set_challenge_response(length: number): number;
  set_simulated_link(preset: number, delay: number, jitter: number, loss: number, reorder: number, duplicate: number, seed: number): void;
  receive(now: number, unixMillis: number, remote: number, local: number, length: number): void;
  run(now: number): void;
  deadline(): number;
  connect(now: number, remotes: number, settings: number, trust: number, data: number, token: number): number;
  accept_challenge(now: number, connection: number, token: number): number;
  accept_connection(now: number, connection: number, length: number): number;
  refuse(now: number, connection: number, length: number): number;
  close(now: number, connection: number, length: number): number;
  ignore(connection: number): number;
  close_all(now: number): void;
  send(now: number, connection: number, length: number): number;
  send_info(remote: number, length: number): number;
  max_packet_size(connection: number): number;
  release_packets(connection: number, count: number): void;
  next_transmit(now: number): number;
  transmit_pointer(): number;
  transmit_path(): number;
  next_event(): number;
  event_connection(): number;
  event_sequence(): number;
  event_delivery(): number;
  event_pointer(): number;
  event_length(): number;
  event_remote(): number;
  event_difficulty(): number;
  event_closed_by(): number;
  event_replaces(): number;
  event_window(): number;
  event_public_key(): number;
  event_text(): number;
  stats(): number;
  connection_stats(connection: number): number;
  parse_url(length: number): number;
  key_pair_from_seed(length: number): number;
  public_key_of(length: number): number;
  public_key_bytes(length: number): number;
  public_key_text(length: number): number;
}

/** What the module with introductions exports besides. */
interface IntroductionExports {
  connect_introduced(
    now: number, introducer: number, remote: number, isHost: number, relay: number, direct: number, settings: number, trust: number, data: number,
  ): number;
  introduce(
    now: number, initiator: number, host: number, relays: number, bytesPerSecond: number, datagramsPerSecond: number, bytes: number, lifetime: number,
  ): number;
  refuse_introduction(now: number, from: number, to: number): number;
  set_own_addresses(now: number, length: number): number;
  network_changed(now: number): void;
  transmit_hop_limit(): number;
  event_other(): number;
  event_is_host(): number;
  event_result(): number;
  event_never_asked(): number;
  event_took(): number;
  event_introduction(): number;
  event_introduced_data(): number;
}

/** The calls that need no translation. */
type Plain = Pick<
  Exports,
  | "run" | "deadline" | "close_all" | "max_packet_size" | "release_packets" | "next_event"
  | "event_connection" | "event_sequence" | "event_delivery" | "event_difficulty"
  | "event_closed_by" | "event_replaces" | "event_window" | "set_simulated_link"
>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One socket's worth of protocol: an instance of the module, with bytes and texts instead of places in its memory. */
export class Core {
  /** The calls that need no translation. */
  readonly plain: Plain;
  readonly #exports: Exports;
  readonly #scratch: number;
  readonly #scratchSize: number;
  #memory: Uint8Array;
  /** The path of the last datagram that was sent. */
  #remote = "";
  #local = "";

  private constructor(exports: Exports) {
    this.#exports = exports;
    this.plain = exports;
    this.#scratch = exports.scratch();
    this.#scratchSize = exports.scratch_size();
    this.#memory = new Uint8Array(exports.memory.buffer);
  }

  /** A core without a socket yet; a worker is given the module. */
  static async load(module?: WebAssembly.Module): Promise<Core> {
    module ??= await (await import("./module.js")).compile(false);
    const instance = await WebAssembly.instantiate(module, {});
    return new Core(instance.exports as unknown as Exports);
  }

  /** What only the module with introductions has; `undefined` in the other one. */
  get introductions(): IntroductionExports | undefined {
    return this.#exports.connect_introduced ? (this.#exports as Exports & IntroductionExports) : undefined;
  }

  /** Begins the socket; once. */
  begin(options: string, now: number): void {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    const bytes = encoder.encode(options);
    this.#write([seed, bytes]);
    seed.fill(0);
    const result = this.#exports.begin(bytes.length, Date.now(), now);
    // The key pair may be among them.
    this.#wipe(this.#scratch, seed.length + bytes.length);
    this.#check(result);
  }

  publicKey(): string {
    return this.#text(this.#exports.public_key());
  }

  setKeyPair(text: string): void {
    this.#check(this.#exports.set_key_pair(this.#write([encoder.encode(text)])));
  }

  setChallengeResponse(data: Uint8Array): void {
    this.#check(this.#exports.set_challenge_response(this.#write([data])));
  }

  /** A datagram has come from a remote to a local IP address, which may be empty. */
  receive(now: number, remote: string, local: string, datagram: Uint8Array): void {
    const path = [encoder.encode(remote), encoder.encode(local)] as const;
    if (path[0].length + path[1].length + datagram.length > this.#scratchSize) return;
    this.#write([...path, datagram]);
    // The wall clock may have been set since, and have gone on while `now` stood still.
    this.#exports.receive(now, Date.now(), path[0].length, path[1].length, datagram.length);
  }

  /** Begins to connect to the host at these remotes. */
  connect(now: number, remotes: string[], settings: string, trust: string, data: Uint8Array, token: Uint8Array): number {
    const texts = [encoder.encode(remotes.join("\n")), encoder.encode(settings), encoder.encode(trust)] as const;
    this.#write([...texts, data, token]);
    const [to, wishes, key] = texts;
    return this.#check(this.#exports.connect(now, to.length, wishes.length, key.length, data.length, token.length));
  }

  acceptChallenge(now: number, connection: number, token: Uint8Array): void {
    this.#check(this.#exports.accept_challenge(now, connection, this.#write([token])));
  }

  acceptConnection(now: number, connection: number, data: Uint8Array): void {
    this.#check(this.#exports.accept_connection(now, connection, this.#write([data])));
  }

  refuse(now: number, connection: number, reason: Uint8Array): void {
    this.#check(this.#exports.refuse(now, connection, this.#write([reason])));
  }

  close(now: number, connection: number, reason: Uint8Array): void {
    this.#check(this.#exports.close(now, connection, this.#write([reason])));
  }

  ignore(connection: number): void {
    this.#check(this.#exports.ignore(connection));
  }

  send(now: number, connection: number, payload: Uint8Array): number {
    return this.#check(this.#exports.send(now, connection, this.#write([payload])));
  }

  sendInfo(remote: string, payload: Uint8Array): void {
    const to = encoder.encode(remote);
    this.#write([to, payload]);
    this.#check(this.#exports.send_info(to.length, payload.length));
  }

  /**
   * Gives every datagram that is to be sent: where to, and the local IP address to send from, empty where that does not
   * matter; and how many routers it may pass, 0 for as many as usual. The bytes are the core's own: copy what you keep.
   */
  transmits(now: number, give: (remote: string, datagram: Uint8Array, local: string, hopLimit: number) => void): void {
    for (let length; (length = this.#exports.next_transmit(now)) > 0; ) {
      const path = this.#text(this.#exports.transmit_path());
      if (path) {
        // Not assigned at once: some tools that rewrite private fields for older browsers lose that.
        const [remote = "", local = ""] = path.split("\n");
        this.#remote = remote;
        this.#local = local;
      }
      const hopLimit = this.#exports.transmit_hop_limit?.() ?? 0;
      give(this.#remote, this.#view(this.#exports.transmit_pointer(), length), this.#local, hopLimit);
    }
  }

  /** Asks a connection's other side to be introduced, and gives the number of the connection to come. `relay`: 0 never, 1 as a fallback, 2 at once. */
  connectIntroduced(
    now: number, introducer: number, remote: number, isHost: boolean, relay: number, direct: boolean, settings: string, trust: string, data: Uint8Array,
  ): number {
    const texts = [encoder.encode(settings), encoder.encode(trust)] as const;
    this.#write([...texts, data]);
    const [wishes, key] = texts;
    const { connect_introduced } = this.introductions!;
    return this.#check(connect_introduced(now, introducer, remote, Number(isHost), relay, Number(direct), wishes.length, key.length, data.length));
  }

  /** Introduces two connections, with a circuit if there are limits for one; gives the introduction's id. */
  introduce(now: number, initiator: number, host: number, relay: Relay | undefined): string {
    // What is no number is as usual.
    const { bytesPerSecond = NaN, datagramsPerSecond = NaN, bytes = NaN, lifetime = NaN } = relay ?? {};
    const { introduce } = this.introductions!;
    return this.#text(introduce(now, initiator, host, relay ? 1 : 0, bytesPerSecond, datagramsPerSecond, bytes, lifetime));
  }

  refuseIntroduction(now: number, from: number, to: number): void {
    this.#check(this.introductions!.refuse_introduction(now, from, to));
  }

  /** Where this machine may be reached: introducers are told. */
  setOwnAddresses(now: number, addresses: readonly string[]): void {
    const { set_own_addresses } = this.introductions!;
    this.#check(set_own_addresses(now, this.#write([encoder.encode(addresses.join("\n"))])));
  }

  eventIntroduction(): string {
    return this.#text(this.introductions!.event_introduction());
  }

  /** Empty in the module without introductions. */
  eventIntroducedData(): Uint8Array {
    const length = this.introductions?.event_introduced_data() ?? 0;
    return this.#view(this.#exports.out(), length).slice();
  }

  /** The event's bytes, copied. */
  eventBytes(): Uint8Array {
    return this.#view(this.#exports.event_pointer(), this.#exports.event_length()).slice();
  }

  /** As applications see it: it can stand in a URL, where a percent sign is written `%25`. */
  eventRemote(): string {
    return this.#text(this.#exports.event_remote()).replace("%", "%25");
  }

  eventPublicKey(): string {
    return this.#text(this.#exports.event_public_key());
  }

  eventText(): string {
    return this.#text(this.#exports.event_text());
  }

  stats(): string {
    return this.#text(this.#exports.stats());
  }

  connectionStats(connection: number): string {
    return this.#text(this.#exports.connection_stats(connection));
  }

  parseUrl(url: string): { host: string; port: number; key: string } {
    const [host = "", port = "", key = ""] = this.#convert("parse_url", encoder.encode(url)).split("\n");
    return { host, port: Number(port), key };
  }

  /** A fresh key pair's secret text. */
  generateKeyPair(): string {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    return this.#convert("key_pair_from_seed", seed);
  }

  publicKeyOf(secretText: string): string {
    return this.#convert("public_key_of", encoder.encode(secretText));
  }

  publicKeyText(key: Uint8Array): string {
    return this.#convert("public_key_text", key);
  }

  publicKeyBytes(text: string): Uint8Array {
    const length = this.#exports.public_key_bytes(this.#write([encoder.encode(text)]));
    this.#check(length);
    return this.#view(this.#exports.out(), length).slice();
  }

  #convert(name: "parse_url" | "key_pair_from_seed" | "public_key_of" | "public_key_text", bytes: Uint8Array): string {
    const length = this.#write([bytes]);
    const result = this.#exports[name](length);
    this.#wipe(this.#scratch, length);
    const text = this.#text(result);
    this.#wipe(this.#exports.out(), result);
    return text;
  }

  /** What may be a secret stays in the memory no longer than it is used. */
  #wipe(pointer: number, length: number): void {
    this.#view(pointer, length).fill(0);
  }

  /** Writes the parts into the scratch, one after another, and tells their length. */
  #write(parts: readonly Uint8Array[]): number {
    let at = 0;
    for (const part of parts) {
      if (at + part.length > this.#scratchSize) {
        throw new TorqueError("too_large", `${part.length} bytes are more than anything here takes`);
      }
      this.#bytes().set(part, this.#scratch + at);
      at += part.length;
    }
    return at;
  }

  #check(result: number): number {
    if (result < 0) throw TorqueError.parse(this.#out());
    return result;
  }

  #text(length: number): string {
    this.#check(length);
    return this.#out();
  }

  #out(): string {
    return decoder.decode(this.#view(this.#exports.out(), this.#exports.out_length()));
  }

  #view(pointer: number, length: number): Uint8Array {
    return this.#bytes().subarray(pointer, pointer + length);
  }

  /** The memory, which is another one whenever it has grown. */
  #bytes(): Uint8Array {
    if (this.#memory.buffer !== this.#exports.memory.buffer) this.#memory = new Uint8Array(this.#exports.memory.buffer);
    return this.#memory;
  }
}
