import type { Client } from "./client.js";
import type { ClientConnection, ConnectionEvent } from "./client_connection.js";
import { copyOf, type Data } from "./data.js";
import { Deferred } from "./deferred.js";
import type { ClosedBy, ConnectionFigures } from "./engine/messages.js";
import { type ErrorCode, guarded, TorqueError } from "./error.js";
import type { Verdict } from "./ledger.js";
import type { Reconnecting, Reconnector } from "./reconnect.js";
import { ConnectRequest } from "./request.js";
import type { TorqueSocket } from "./socket.js";
import type { HostIdentity, Judgement } from "./trust.js";

declare global {
  // What `await using` needs, for programs whose `lib` has no `esnext.disposable`; where it has, these are the same.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
    readonly asyncDispose: unique symbol;
  }
  interface Disposable {
    [Symbol.dispose](): void;
  }
  interface AsyncDisposable {
    [Symbol.asyncDispose](): PromiseLike<void>;
  }
}

/** How a connection ended. */
export interface CloseInfo {
  /** A code of `spec/codes.csv`, or what became of the carrier. */
  code: ErrorCode;
  /** Who ended it: this application, the other side, or this socket. */
  by: ClosedBy;
  /** What the application that closed or refused said; else empty. */
  reason: Uint8Array;
}

/** The other side of a connection. */
export interface Peer {
  /** Its public key, `tk1…`, proven. */
  readonly publicKey: string;
  /** Its address and port: `203.0.113.5:28000`; or `relayed`, while the connection runs over a circuit of its introducer. */
  readonly address: string;
  /** At a host: the origin of the page that connected, which its gateway attests; `undefined` for programs, and where no gateway is trusted. */
  readonly origin: string | undefined;
}

/** What a host that was introduced is asked. */
type ConnectionRequest = Extract<ConnectionEvent, { kind: "request" }>;

/** A packet that waits for the application. */
interface Waiting {
  data: Uint8Array;
  sequence: number;
}

/**
 * A connection: packets out with a verdict each, packets in.
 *
 * ```ts
 * const connection = await TorqueSocket.connect("torque://tk1…@game.example");
 * if ((await connection.send("hello")) !== "delivered") console.log("nobody got it");
 * for await (const packet of connection) draw(packet);
 * ```
 */
export class TorqueConnection implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Resolves when the connection has ended. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  /**
   * With {@link ReconnectOptions.reconnect}: the connection that takes this one's place when it has ended; its verdicts stay as
   * they were. Rejects with a {@link TorqueError} when there will be none.
   */
  readonly successor: Promise<TorqueConnection>;
  /** This connection has ended, and an attempt to make its successor is to come. */
  onreconnecting: ((attempt: Reconnecting) => void) | null = null;
  /**
   * The connection takes another path, because a side has moved, or one that was relayed has become direct: `peer.address` is where the
   * other side is now.
   */
  onpathchanged: ((address: string) => void) | null = null;
  /** The connection with the introducer, of one that began with an introduction. */
  readonly introducedBy: TorqueConnection | undefined;
  /** Resolves when packets can be sent. @internal */
  readonly established: Promise<void>;

  readonly #client: Client;
  readonly #core: ClientConnection;
  readonly #origin: string | undefined;
  readonly #established = new Deferred<void>();
  readonly #asked = new Deferred<ConnectionRequest>();
  readonly #closed = new Deferred<CloseInfo>();
  readonly #successor = new Deferred<TorqueConnection>();
  readonly #packets: Waiting[] = [];
  #packetWaiters: (() => void)[] = [];
  #onpacket: ((packet: Uint8Array, sequence: number) => void) | null = null;
  #reconnector: Reconnector | undefined;
  #hasSuccessor = false;

  /** @internal */
  constructor(
    /** The socket that it is a connection of. */
    readonly socket: TorqueSocket,
    client: Client,
    core: ClientConnection,
    options: { origin?: string | undefined; decide?: Judgement["decide"]; introducedBy?: TorqueConnection } = {},
  ) {
    this.introducedBy = options.introducedBy;
    this.#client = client;
    this.#core = core;
    this.#origin = options.origin;
    this.established = this.#established.promise;
    this.closed = this.#closed.promise;
    this.successor = this.#successor.promise;
    // An application that does not look at these looks at `closed`.
    this.successor.catch(() => undefined);
    this.established.catch(() => undefined);
    core.listener = (event) => this.#handle(event, options.decide);
  }

  /**
   * Called for each packet as it comes, instead of iterating. Packets that have gathered before it is set are given at once.
   * A packet that is neither taken here nor by iterating waits; when a thousand wait, the next ones are dropped, and their
   * sender is told so.
   */
  get onpacket(): ((packet: Uint8Array, sequence: number) => void) | null {
    return this.#onpacket;
  }
  set onpacket(listener) {
    this.#onpacket = listener;
    this.#give();
  }

  /** The other side: its key, address and origin. */
  get peer(): Peer {
    const { publicKey = "", remote = "" } = this.#core.established ?? {};
    return { publicKey, address: remote, origin: this.#origin };
  }

  /** At the initiator, what the host's application said when it accepted. */
  get acceptData(): Uint8Array {
    return this.#core.established?.data ?? new Uint8Array();
  }

  /** What both sides agreed on, as text: `window=128;tag=16;…`. */
  get settings(): string {
    return this.#core.established?.settings ?? "";
  }

  /**
   * The number of this connection at its socket, once established; else 0. An introducer tells it to the party that is to meet the other
   * side of this connection, for {@link TorqueSocket.connectIntroduced}.
   */
  get number(): number {
    return this.#core.established?.number ?? 0;
  }

  /** The largest packet, in bytes. */
  get maxPacketSize(): number {
    return this.#core.established?.maxPacketSize ?? 0;
  }

  /** How many packets may await their verdict. */
  get window(): number {
    return this.#core.established?.window ?? 0;
  }

  /** How many do. */
  get inFlight(): number {
    return this.#core.inFlight;
  }

  /**
   * Sends a packet, once. Resolves with its verdict: `delivered` when the other application got it, `dropped` when it did not
   * and never will, `unknown` when the connection ended before its other side said. Verdicts come in the order of sending.
   *
   * Also `dropped` is a packet that found no room among those that wait to leave the machine, which in Rust is the error `Blocked`: this
   * promise is there before the worker has looked.
   *
   * Rejects with a {@link TorqueError} if nothing was sent: `window_full`, `too_large`, `not_established`, `closed`. A result
   * that you do not look at needs no `catch`: it is no unhandled rejection.
   */
  send(data: Data): Promise<Verdict> {
    try {
      return this.sendBytes(copyOf(data));
    } catch (error) {
      return unsent(error);
    }
  }

  /** As `send`, of bytes that are ours. @internal */
  sendBytes(data: Uint8Array): Promise<Verdict> {
    const verdict = new Deferred<Verdict>();
    try {
      this.#core.send(data, verdict.resolve);
    } catch (error) {
      return unsent(error);
    }
    return verdict.promise;
  }

  /**
   * Closes the connection, and no other takes its place. What was sent before still gets its verdicts, before `closed`. Throws
   * `too_large` if the reason is longer than 511 bytes, and nothing is closed.
   */
  close(reason?: Data): void {
    this.#core.close(reason);
    // Afterwards, as it may end attempts by a signal. A successor that is there goes on.
    if (!this.#hasSuccessor) this.#reconnector?.stop();
  }

  /** When it was established and has ended, this makes its successor. @internal */
  reconnectBy(reconnector: Reconnector): void {
    this.#reconnector = reconnector;
    this.successor.then(() => { this.#hasSuccessor = true; }, () => undefined);
  }

  /** The request of the other side, where an introducer has made this side the host of the connection to come. @internal */
  async request(): Promise<ConnectRequest> {
    // Without a request, there is no connection either.
    const asked = await Promise.race([this.#asked.promise, this.established]);
    const { publicKey, remote: address, data } = asked!;
    return new ConnectRequest(this.#core, this, { publicKey, address, origin: undefined }, data);
  }

  /** What stands behind it. @internal */
  get client(): ClientConnection {
    return this.#core;
  }

  /** Whether packets can be sent. @internal */
  get isOpen(): boolean {
    return this.#core.isOpen;
  }

  /** Figures of the connection; `undefined` when it has ended. */
  getStats(): Promise<ConnectionFigures | undefined> {
    return this.#client.connectionStats(this.#core.id);
  }

  /** The packets as they come, until the connection ends. Each goes to one iteration only. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const next = this.#takePacket();
      if (next) yield next.data;
      else if (this.#core.isClosed) return;
      else await new Promise<void>((wake) => this.#packetWaiters.push(wake));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  /** Gives what has gathered to `onpacket`, as long as that is set. */
  #give(): void {
    for (let next; this.#onpacket && (next = this.#takePacket()); ) {
      const { data, sequence } = next;
      guarded(() => this.#onpacket?.(data, sequence));
    }
  }

  #takePacket(): Waiting | undefined {
    const packet = this.#packets.shift();
    if (packet) this.#core.taken(1);
    return packet;
  }

  #handle(event: ConnectionEvent, decide: Judgement["decide"]): void {
    switch (event.kind) {
      case "challenge": {
        const { publicKey, data: challengeResponse, difficulty, cipher, introducedData } = event;
        void this.#decide({ publicKey, challengeResponse, difficulty, cipher, introducedData }, decide);
        break;
      }
      case "request":
        this.#asked.resolve(event);
        break;
      case "established":
        this.#established.resolve();
        break;
      case "path":
        guarded(() => this.onpathchanged?.(event.remote));
        break;
      case "packet":
        this.#packets.push({ data: event.data, sequence: event.sequence });
        this.#give();
        this.#wake();
        break;
      case "close": {
        const { code, by, reason, message } = event;
        const error = new TorqueError(code, message, reason);
        this.#established.reject(error);
        this.#closed.resolve({ code, by, reason });
        if (!this.#reconnector || !this.#core.established) this.#successor.reject(error);
        else this.#successor.resolve(this.#reconnector.after(this, error, by === "application"));
        this.#wake();
        break;
      }
    }
  }

  /** Goes on with the host, or gives the attempt up, as `trust` says. */
  async #decide(host: HostIdentity, decide: Judgement["decide"]): Promise<void> {
    try {
      if (await decide?.(host)) return this.#core.acceptHost(host.publicKey);
    } catch (error) {
      // What the application throws is its own error, and no consent.
      guarded(() => { throw error; });
    }
    this.#core.close("", new TorqueError("key_mismatch", `\`trust\` does not accept the host's key, ${host.publicKey}`));
  }

  #wake(): void {
    const waiters = this.#packetWaiters;
    this.#packetWaiters = [];
    for (const wake of waiters) wake();
  }
}

/** A rejection that need not be looked at. @internal */
export function unsent(error: unknown): Promise<never> {
  const refused = Promise.reject<never>(error as Error);
  refused.catch(() => undefined);
  return refused;
}
