import { copyOf, type Data, MAX_SHORT_DATA } from "./data.js";
import { Deferred } from "./deferred.js";
import type { ClosedBy, ConnectionFigures, Delivery, Notice } from "./engine/messages.js";
import { type ErrorCode, guarded, TorqueError } from "./error.js";
import type { Reconnecting, Reconnector } from "./reconnect.js";
import type { TorqueSocket } from "./socket.js";

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

/** What a connection needs of its socket. @internal */
export interface ConnectionOwner {
  readonly socket: TorqueSocket;
  post(id: number, command: { kind: "accept_challenge" } | { kind: "close" | "send" | "accept_connection"; data: Uint8Array } | { kind: "taken"; packets: number }): void;
  stats(id: number): Promise<ConnectionFigures | undefined>;
}

/**
 * A connection: packets out with a verdict each, packets in.
 *
 * ```ts
 * const connection = await TorqueSocket.connect("torque://game.example");
 * if (!(await connection.send("hello"))) console.log("nobody got it");
 * for await (const packet of connection) draw(packet);
 * ```
 */
export class TorqueConnection implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Resolves when the connection is established; rejects with a {@link TorqueError} if it comes to nothing. */
  readonly ready: Promise<void>;
  /** Resolves when the connection has ended, established or not. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  /**
   * With {@link ReconnectOptions.reconnect}: the connection that takes this one's place when it has ended; its verdicts stay as
   * they were told. Rejects with a {@link TorqueError} when there will be none, for whoever looks at it.
   */
  readonly successor: Promise<TorqueConnection>;
  /** This connection has ended, and an attempt to make its successor is to come. */
  onreconnecting: ((attempt: Reconnecting) => void) | null = null;
  /**
   * Called for each packet as it comes, instead of iterating. Packets that have gathered before it is set are given at once.
   * A packet that is neither taken here nor by iterating waits; when a thousand wait, the other side is told that the next are dropped.
   */
  get onpacket(): ((packet: Uint8Array, sequence: number) => void) | null {
    return this.#onpacket;
  }
  set onpacket(listener) {
    this.#onpacket = listener;
    this.#give();
  }

  readonly #ready = new Deferred<void>();
  readonly #closed = new Deferred<CloseInfo>();
  readonly #successor = new Deferred<TorqueConnection>();
  #reconnector: Reconnector | undefined;
  #hasSuccessor = false;
  readonly #verdicts: Deferred<boolean>[] = [];
  readonly #packets: { data: Uint8Array; sequence: number }[] = [];
  #packetWaiters: (() => void)[] = [];
  #onpacket: ((packet: Uint8Array, sequence: number) => void) | null = null;
  #state: "pending" | "open" | "closing" | "closed" = "pending";
  #established: Extract<Notice, { kind: "established" }> | undefined;

  /** @internal */
  constructor(
    private readonly owner: ConnectionOwner,
    /** Its number at this socket. */
    readonly id: number,
    /** The attested origin of a page that connected to this host. */
    readonly origin: string | undefined,
  ) {
    this.ready = this.#ready.promise;
    this.closed = this.#closed.promise;
    this.successor = this.#successor.promise;
    this.successor.catch(() => undefined);
    // Whoever does not look at `ready` looks at `closed`.
    this.ready.catch(() => undefined);
  }

  /** The socket that it is a connection of. */
  get socket(): TorqueSocket {
    return this.owner.socket;
  }

  /** The other side's address, when established. */
  get remote(): string {
    return this.#established?.remote ?? "";
  }

  /** The other side's public key, proven, when established. */
  get publicKey(): string {
    return this.#established?.publicKey ?? "";
  }

  /** At the initiator, what the host's application said when it accepted. */
  get acceptData(): Uint8Array {
    return this.#established?.data ?? new Uint8Array();
  }

  /** What both sides settled on, as text: `window=128;tag=16;…`. */
  get settings(): string {
    return this.#established?.settings ?? "";
  }

  /** The largest packet, in bytes. */
  get maxPacketSize(): number {
    return this.#established?.maxPacketSize ?? 0;
  }

  /** How many packets may await their verdict. */
  get window(): number {
    return this.#established?.window ?? 0;
  }

  /** How many do. */
  get inFlight(): number {
    return this.#verdicts.length;
  }

  /**
   * Sends a packet, once. Resolves with its verdict: `true` when the other application got it, `false` when it did not and
   * never will (or the connection ended without its other side saying). Verdicts come in the order of sending.
   *
   * Rejects with a {@link TorqueError} if nothing was sent: `window_full`, `too_large`, `not_established`, `closed`. Who does
   * not look at the result need not catch that: it is no unhandled rejection.
   */
  send(data: Data): Promise<boolean> {
    try {
      return this.sendOrThrow(data);
    } catch (error) {
      const refused = Promise.reject<boolean>(error as TorqueError);
      refused.catch(() => undefined);
      return refused;
    }
  }

  /** As `send`, but throws if nothing was sent. @internal */
  sendOrThrow(data: Data): Promise<boolean> {
    const bytes = copyOf(data);
    const problem = this.#problem(bytes);
    if (problem) throw problem;
    const verdict = new Deferred<boolean>();
    this.#verdicts.push(verdict);
    this.owner.post(this.id, { kind: "send", data: bytes });
    return verdict.promise;
  }

  /**
   * Closes the connection, or gives it up, and no other takes its place. What was sent before still gets its verdicts, before `closed`. Throws
   * `too_large` if the reason is longer than 511 bytes, and nothing is closed.
   */
  close(reason?: Data): void {
    const data = copyOf(reason, MAX_SHORT_DATA);
    if (this.#state !== "closing" && this.#state !== "closed") {
      this.#state = "closing";
      this.owner.post(this.id, { kind: "close", data });
    }
    // Afterwards, as it may end attempts by a signal. A successor that is there goes on.
    if (!this.#hasSuccessor) this.#reconnector?.stop();
  }

  /** When it was established and has ended, this makes its successor. @internal */
  reconnectBy(reconnector: Reconnector): void {
    this.#reconnector = reconnector;
    this.successor.then(() => { this.#hasSuccessor = true; }, () => undefined);
  }

  /** Whether packets can be sent. @internal */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Figures of the connection; `undefined` when it is not established. */
  getStats(): Promise<ConnectionFigures | undefined> {
    return this.owner.stats(this.id);
  }

  /** The packets as they come, until the connection ends. Each goes to one iteration only. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const next = this.#takePacket();
      if (next) yield next.data;
      else if (this.#state === "closed") return;
      else await new Promise<void>((wake) => this.#packetWaiters.push(wake));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  /** Why a packet cannot be sent now. */
  #problem(bytes: Uint8Array): TorqueError | undefined {
    const fail = (code: ErrorCode, message: string) => new TorqueError(code, message);
    if (this.#state === "pending") return fail("not_established", "wait for `ready`");
    if (!this.isOpen) return fail("closed", "the connection has ended");
    if (bytes.length > this.maxPacketSize) return fail("too_large", `this connection takes ${this.maxPacketSize} bytes`);
    if (this.inFlight >= this.window) return fail("window_full", "as many packets as may await their verdict: wait for one");
    return undefined;
  }

  /** Gives what has gathered to `onpacket`, as long as that is set. */
  #give(): void {
    for (let next; this.#onpacket && (next = this.#takePacket()); ) {
      const { data, sequence } = next;
      guarded(() => this.#onpacket?.(data, sequence));
    }
  }

  #takePacket(): { data: Uint8Array; sequence: number } | undefined {
    const packet = this.#packets.shift();
    if (packet) this.owner.post(this.id, { kind: "taken", packets: 1 });
    return packet;
  }

  /** What the engine tells of this connection. @internal */
  handle(notice: Notice): void {
    switch (notice.kind) {
      case "established":
        this.#established = notice;
        // It may have been given up meanwhile.
        if (this.#state !== "pending") break;
        this.#state = "open";
        this.#ready.resolve();
        break;
      case "packet":
        this.#packets.push({ data: notice.data, sequence: notice.sequence });
        this.#give();
        this.#wake();
        break;
      case "verdict":
        this.#verdicts.shift()?.resolve(isDelivered(notice.delivery));
        break;
      case "close": {
        this.#state = "closed";
        const { code, by, reason, message } = notice;
        // Packets that the face sent after the engine had told the end.
        for (const verdict of this.#verdicts.splice(0)) verdict.resolve(false);
        const error = new TorqueError(code, message, reason);
        this.#ready.reject(error);
        this.#closed.resolve({ code, by, reason });
        if (!this.#reconnector || !this.#established) this.#successor.reject(error);
        else this.#successor.resolve(this.#reconnector.after(this, error, by === "application"));
        this.#wake();
        break;
      }
    }
  }

  #wake(): void {
    const waiters = this.#packetWaiters;
    this.#packetWaiters = [];
    for (const wake of waiters) wake();
  }
}

function isDelivered(delivery: Delivery): boolean {
  return delivery === "delivered";
}

/** Somebody who wants to connect to this host: accept or refuse. */
export class TorqueRequest {
  /** @internal */
  constructor(
    private readonly owner: ConnectionOwner,
    private readonly connection: TorqueConnection,
    /** The identity of who asks. */
    readonly publicKey: string,
    /** Where the request came from. */
    readonly remote: string,
    /** What was sent with the request, encrypted for this host. */
    readonly connectData: Uint8Array,
    /** The attested origin of the page that asks; `undefined` for programs, and where no gateway is trusted. */
    readonly origin: string | undefined,
  ) {}

  /**
   * Accepts, with at most 511 bytes for the other application. Resolves when the other side has proven its keys, and rejects
   * with a {@link TorqueError} if it never does: who asks may vanish.
   */
  async accept(data?: Data): Promise<TorqueConnection> {
    this.owner.post(this.connection.id, { kind: "accept_connection", data: copyOf(data, MAX_SHORT_DATA) });
    await this.connection.ready;
    return this.connection;
  }

  /** Refuses, with a reason of at most 511 bytes, which the other application is told. */
  refuse(reason?: Data): void {
    this.connection.close(reason);
  }
}
