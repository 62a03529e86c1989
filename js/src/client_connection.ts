import { copyOf, type Data, MAX_SHORT_DATA } from "./data.js";
import type { Command, Notice } from "./engine/messages.js";
import { type ErrorCode, TorqueError } from "./error.js";
import { Ledger, type Verdict } from "./ledger.js";

/** What a connection reports to the class that applications see. Verdicts go to the functions given to `send`. @internal */
export type ConnectionEvent = Extract<Notice, { kind: "challenge" | "request" | "established" | "packet" | "path" | "close" }>;

/** What a connection asks the engine to do. @internal */
export type ConnectionCommand = Extract<Command, { id: number }>;

/**
 * One connection on the page's side: whether it is open, and which packets await their verdict. The classes that applications
 * see stand on it.
 *
 * @internal
 */
export class ClientConnection {
  /** Is told each event, in order. */
  listener: (event: ConnectionEvent) => void = () => undefined;
  /** What both sides agreed on, once the connection is established. */
  established: Extract<Notice, { kind: "established" }> | undefined;
  readonly #ledger = new Ledger();
  #state: "pending" | "open" | "closing" | "closed" = "pending";
  /** Whether this is a request of the other side, and whether the application has answered it. */
  #request: "none" | "asked" | "answered";
  /** The key that the host has shown, until it is accepted. */
  #hostKey = "";
  /** Why this side closed the connection, where that is not the application's doing. */
  #failure: TorqueError | undefined;

  constructor(
    /** The number by which page and engine speak of it. */
    readonly id: number,
    private readonly post: (command: ConnectionCommand) => void,
    isRequest = false,
  ) {
    this.#request = isRequest ? "asked" : "none";
  }

  /** Whether packets can be sent. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether this is a request that waits for an answer. */
  get isAsked(): boolean {
    return this.#request === "asked" && !this.isClosed;
  }

  /** How many packets await their verdict. */
  get inFlight(): number {
    return this.#ledger.inFlight;
  }

  /**
   * Sends a packet whose bytes are ours, and returns its number: packets are counted from 1. `settle` is told its verdict,
   * once. Throws a {@link TorqueError} if nothing was sent.
   */
  send(data: Uint8Array, settle: (verdict: Verdict, packet: number) => void): number {
    const problem = this.#problem(data.length);
    if (problem) throw problem;
    const packet = this.#ledger.add(settle);
    this.post({ kind: "send", id: this.id, packet, data });
    return packet;
  }

  /** The application has taken packets: only now they stop counting as queued. */
  taken(packets: number): void {
    this.post({ kind: "taken", id: this.id, packets });
  }

  /** Goes on with the host of this key; nothing happens if another one has answered since. */
  acceptHost(publicKey: string): void {
    this.post({ kind: "accept_challenge", id: this.id, publicKey });
  }

  /** Goes on with the host that showed its key last. Throws `not_waiting` if no host waits for this. */
  acceptChallenge(): void {
    if (this.#state !== "pending" || !this.#hostKey) {
      throw new TorqueError("not_waiting", "no host waits for this: none has shown its key yet, or it has had its answer");
    }
    this.acceptHost(this.#hostKey);
    this.#hostKey = "";
  }

  /** Accepts a request. This and the other two answers throw `not_waiting` if there is no request that waits for one. */
  acceptConnection(data: Data | undefined): void {
    const bytes = copyOf(data, MAX_SHORT_DATA);
    this.#answer();
    this.post({ kind: "accept_connection", id: this.id, data: bytes });
  }

  /** Refuses a request. */
  refuse(reason?: Data): void {
    const bytes = copyOf(reason, MAX_SHORT_DATA);
    this.#answer();
    this.#state = "closing";
    this.post({ kind: "refuse", id: this.id, reason: bytes });
  }

  /** Drops a request, and says nothing to the one who asks. */
  ignore(): void {
    this.#answer();
    this.#state = "closing";
    this.post({ kind: "ignore", id: this.id });
  }

  /** Closes or gives up, once. `failure` takes the place of the code and text that this would end with. */
  close(reason?: Data, failure?: TorqueError): void {
    const data = copyOf(reason, MAX_SHORT_DATA);
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#state = "closing";
    this.#failure = failure;
    this.post({ kind: "close", id: this.id, reason: data });
  }

  /** Takes what the engine tells of this connection. */
  handle(notice: Notice): void {
    switch (notice.kind) {
      case "verdict":
        return this.#ledger.settle(notice.verdict);
      case "refused":
        return this.#ledger.refuse(notice.packet);
      case "request":
        // Of an introduction, in which this side is host.
        this.#request = "asked";
        return this.listener(notice);
      case "challenge":
        this.#hostKey = notice.publicKey;
        return this.listener(notice);
      case "established":
        this.established = notice;
        // It may have been given up meanwhile.
        if (this.#state !== "pending") return;
        this.#state = "open";
        return this.listener(notice);
      case "path":
        if (this.established) this.established = { ...this.established, remote: notice.remote };
        return this.listener(notice);
      case "packet":
        return this.listener(notice);
      case "close": {
        this.#state = "closed";
        this.#ledger.close();
        const failure = notice.by === "application" ? this.#failure : undefined;
        return this.listener(failure ? { ...notice, code: failure.code, message: failure.message } : notice);
      }
    }
  }

  /** Notes that a request is answered: once. */
  #answer(): void {
    if (this.#request === "none") throw new TorqueError("not_waiting", "this is no request: it is a connection that this side asked for");
    if (this.#request === "answered") throw new TorqueError("not_waiting", "the request has been answered");
    if (this.isClosed) throw new TorqueError("closed", "the request has ended: its initiator gave up, or nobody answered in time");
    this.#request = "answered";
  }

  /** Why a packet of this length cannot be sent now. */
  #problem(length: number): TorqueError | undefined {
    const fail = (code: ErrorCode, message: string) => new TorqueError(code, message);
    if (this.#state === "pending") return fail("not_established", "the connection is not established yet");
    if (!this.isOpen) return fail("closed", "the connection has ended");
    const { maxPacketSize, window } = this.established!;
    if (length > maxPacketSize) return fail("too_large", `a packet has at most ${maxPacketSize} bytes here, not ${length}`);
    if (this.inFlight >= window) return fail("window_full", `${window} packets await their verdict: wait for one`);
    return undefined;
  }
}
