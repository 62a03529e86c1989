import { Client, NOBODY_TAKES_REQUESTS, type SocketEnd, type SocketEvent } from "./client.js";
import type { ClientConnection } from "./client_connection.js";
import { TorqueConnection, unsent } from "./connection.js";
import { copyOf, type Data } from "./data.js";
import { Deferred } from "./deferred.js";
import { guarded, TorqueError } from "./error.js";
import type { IntroducedHostOptions, IntroducedOptions, IntroduceOptions, IntroductionOutcome } from "./introductions.js";
import type { KeyPair } from "./key_pair.js";
import type { Verdict } from "./ledger.js";
import type { ConnectOptions, ReconnectOptions, SimulatedLink, SocketOptions } from "./options.js";
import type { Reconnector } from "./reconnect.js";
import { ConnectRequest } from "./request.js";
import { type Target, urlOf } from "./target.js";
import { judge } from "./trust.js";

/**
 * A socket for real-time programs: encrypted packets, each sent once, with a verdict on each.
 *
 * ```ts
 * const connection = await TorqueSocket.connect("torque://tk1…@game.example:28000", { bind: "https://gateway.example:4433" });
 * const verdict = await connection.send("hello");
 * ```
 *
 * A host:
 *
 * ```ts
 * const host = new TorqueSocket({ bind: "0.0.0.0:28000" });
 * for await (const request of host.requests()) void serve(request);
 * ```
 *
 * spec/API.md has the whole interface; section 11 is this. A class with the names of "The TorqueSocket API" (2010) is
 * `DraftSocket` of `torque-socket/draft`.
 */
export class TorqueSocket implements AsyncDisposable {
  /**
   * The socket's gateway goes away in this many milliseconds. Connections go on, and are closed a second before that at the
   * latest; the socket is over with the last of them. It makes no new ones: another socket can, at another gateway.
   */
  ondraining: ((milliseconds: number) => void) | null = null;
  /** A datagram outside any connection (Node only). Its source may be forged: never answer it with more bytes than it has. */
  oninfo: ((address: string, data: Uint8Array) => void) | null = null;

  /**
   * At an introducer: a party asks to be introduced, and nobody has called `introduce` for the pair. Answer with
   * {@link TorqueSocket.introduce}, or with {@link TorqueSocket.refuseIntroduction}; else the party hears after half a minute that nobody decided.
   */
  onintroductionrequested: ((request: { from: TorqueConnection; to: TorqueConnection; fromIsHost: boolean }) => void) | null = null;
  /** At an introducer: what became of an introduction. Once for each, and once more if a relayed connection became direct. */
  onintroduced: ((outcome: IntroductionOutcome<TorqueConnection>) => void) | null = null;

  readonly #client: Client;
  readonly #connections = new Set<TorqueConnection>();
  readonly #byClient = new WeakMap<ClientConnection, TorqueConnection>();
  /** Requests that wait for `requests`; the core bounds how many there are. */
  readonly #requests = new Set<ConnectRequest>();
  /** Resolves when a request has come, or none will come any more. */
  #requestNews = new Deferred<void>();
  /** How many iterations take requests. */
  #readers = 0;
  /** Whether requests wait while there is none. */
  readonly #letWait: boolean;

  /** A socket. It is bound, as `options.bind` says, by the first call that needs it, or by {@link TorqueSocket.bind}. */
  constructor(options: SocketOptions = {}) {
    this.#letWait = options.acceptIncoming ?? false;
    this.#client = new Client(options, (event) => this.#handle(event));
  }

  /**
   * Connects from a socket of its own, which is over with the connection. Rejects with a {@link TorqueError} that says why not,
   * and at once if neither the URL nor `trust` says which host to believe. With `reconnect` too: that is for connections that
   * were made.
   */
  static async connect(target: Target, options: SocketOptions & ConnectOptions & ReconnectOptions = {}): Promise<TorqueConnection> {
    const { reconnect, ...rest } = options;
    if (!reconnect) return TorqueSocket.#connectOnce(target, rest);
    if (rest.connectData !== undefined) rest.connectData = copyOf(rest.connectData);
    const { Reconnector } = await import("./reconnect.js");
    const again = (by: Reconnector, signal: AbortSignal) => TorqueSocket.#connectOnce(target, { ...rest, signal }, by);
    const reconnector = new Reconnector(reconnect === true ? {} : reconnect, rest.signal, again);
    try {
      return await TorqueSocket.#connectOnce(target, rest, reconnector);
    } catch (error) {
      reconnector.stop();
      throw error;
    }
  }

  static async #connectOnce(target: Target, options: SocketOptions & ConnectOptions, reconnector?: Reconnector): Promise<TorqueConnection> {
    // The settings go with the attempt, whose error says what is wrong with them.
    const { settings: _, ...own } = options;
    const socket = new TorqueSocket({ acceptIncoming: false, ...own });
    try {
      const connection = await socket.#connect(target, options, reconnector);
      void connection.closed.then(() => socket.shutdown());
      return connection;
    } catch (error) {
      void socket.shutdown();
      throw error;
    }
  }

  /** Resolves when the socket is bound, and binds it; rejects with a {@link TorqueError} that says why it cannot be. */
  get ready(): Promise<void> {
    return this.#client.ready;
  }

  /** Resolves when the socket is over. Every connection has ended before. */
  get closed(): Promise<SocketEnd> {
    return this.#client.closed;
  }

  /**
   * The socket's address as others see it, when bound: `203.0.113.5:28000`. Of a socket at every address of its machine, the one
   * that others most likely reach it by.
   */
  get address(): string {
    return this.#client.address;
  }

  /** Where others connect to, when bound: `torque://tk1…@203.0.113.5:28000`. */
  get url(): string {
    return this.#client.url;
  }

  /** The socket's public key, when bound. */
  get publicKey(): string {
    return this.#client.publicKey;
  }

  /** What carries its datagrams, when bound: `webtransport`, `websocket`, `udp` or `direct-sockets`. */
  get carrier(): string {
    return this.#client.bound?.carrier ?? "";
  }

  /** The public key of its gateway, when bound to one: what hosts list as trusted. */
  get gatewayKey(): string {
    return this.#client.bound?.gatewayKey ?? "";
  }

  /** Milliseconds until the socket's gateway is gone, when that goes away ({@link TorqueSocket.ondraining}); else infinite. */
  get timeLeft(): number {
    return this.#client.timeLeft;
  }

  /** The connections that are established, in the order in which they came. */
  get connections(): TorqueConnection[] {
    return [...this.#connections].filter(({ isOpen }) => isOpen);
  }

  /** Binds the socket; see {@link SocketOptions.bind}. Once: another place is another socket. */
  bind(address?: string): Promise<void> {
    return this.#client.bind(address);
  }

  /**
   * Connects. Resolves when established; rejects with a {@link TorqueError} that says why not, and holds the host's reason, or
   * with the reason of the signal that gave it up. Rejects at once if neither the URL nor `trust` says which host to believe.
   */
  connect(target: Target, options: ConnectOptions = {}): Promise<TorqueConnection> {
    return this.#connect(target, options);
  }

  async #connect(target: Target, options: ConnectOptions, reconnector?: Reconnector): Promise<TorqueConnection> {
    const { signal, settings = "" } = options;
    signal?.throwIfAborted();
    const { decide, ...attempt } = judge(urlOf(target), options.trust);
    const core = this.#client.connect({ ...attempt, settings, data: copyOf(options.connectData) });
    const connection = new TorqueConnection(this, this.#client, core, { decide });
    this.#keep(connection);
    if (reconnector) connection.reconnectBy(reconnector);
    await unlessAborted(connection, connection.established, signal);
    return connection;
  }

  /**
   * Introduces two others that are connected to this socket: each is told the other's key, addresses and a fresh secret, when both have called
   * `connectIntroduced` for one another. Resolves with the introduction's id; {@link TorqueSocket.onintroduced} tells what became of it.
   *
   * Rejects with a {@link TorqueError}: `not_an_introducer` without the option `introductions: { introduces: true }`, `closed`,
   * `too_many_introductions`. (spec/API.md 4.12)
   */
  async introduce(initiator: TorqueConnection, host: TorqueConnection, options: IntroduceOptions = {}): Promise<string> {
    const { introduce } = await import("./introductions.js");
    return introduce(this.#client, initiator.client, host.client, options);
  }

  /** Says no to what {@link TorqueSocket.onintroductionrequested} asks: the parties that have asked hear `introduction_refused`. Rejects with `not_waiting` if nobody has. */
  async refuseIntroduction(from: TorqueConnection, to: TorqueConnection): Promise<void> {
    const { refuseIntroduction } = await import("./introductions.js");
    return refuseIntroduction(this.#client, from.client, to.client);
  }

  /**
   * Asks the other side of a connection, the introducer, for a connection with another socket that is connected to it. `remote` is the
   * {@link TorqueConnection.number} of that connection at the introducer, which its application tells. The other party asks for this one, and one
   * of the two is host: it gets the request of the other one, to be answered, also if this socket takes no other requests.
   *
   * Rejects with a {@link TorqueError}: `introduction_refused`, `remote_never_asked`, `remote_gone`, `role_conflict`, `no_path`, `hard_nat`, `introducer_gone` and the
   * codes of `connect`; in a page with `no_introductions` if the socket was made without {@link SocketOptions.introductions}. (spec/API.md 4.12)
   */
  connectIntroduced(introducer: TorqueConnection, remote: number, options: IntroducedHostOptions): Promise<ConnectRequest>;
  connectIntroduced(introducer: TorqueConnection, remote: number, options: IntroducedOptions): Promise<TorqueConnection>;
  async connectIntroduced(
    introducer: TorqueConnection,
    remote: number,
    options: IntroducedOptions | IntroducedHostOptions,
  ): Promise<TorqueConnection | ConnectRequest> {
    const { signal } = options;
    signal?.throwIfAborted();
    // At once: the application may write to its buffer.
    const data = copyOf(options.isHost ? options.introducedData : options.connectData);
    const { beginIntroduced, judgeIntroduced } = await import("./introductions.js");
    // It may have been aborted meanwhile, and does not tell again.
    signal?.throwIfAborted();
    const how = options.isHost ? options : { ...options, judgement: judgeIntroduced(options.trust) };
    const core = beginIntroduced(this.#client, introducer.client, remote, how, data);
    const decide = how.isHost ? undefined : how.judgement.decide;
    const connection = new TorqueConnection(this, this.#client, core, { introducedBy: introducer, decide });
    this.#keep(connection);
    return unlessAborted(connection, options.isHost ? connection.request() : connection.established.then(() => connection), signal);
  }

  /**
   * Requests to connect, as they come. Those that come while nobody iterates are refused; with the option `acceptIncoming: true` they
   * wait here. Ends with the socket: throws a {@link TorqueError} if the socket cannot be bound, or is lost, and not after `shutdown`.
   */
  async *requests(): AsyncGenerator<ConnectRequest, void, undefined> {
    void this.bind().catch(() => undefined);
    this.#readers++;
    try {
      for (;;) {
        for (const request of this.#requests) {
          this.#requests.delete(request);
          yield request;
        }
        const { end } = this.#client;
        if (end?.code === "closed") return;
        if (end) throw new TorqueError(end.code, end.message);
        await this.#requestNews.promise;
      }
    } finally {
      this.#readers--;
      this.#refuseUnread();
    }
  }

  /** Sends a packet over each of these connections, by default all of this socket. The results are those of `send`, in their order. */
  sendToAll(data: Data, connections: Iterable<TorqueConnection> = this.connections): Promise<Verdict>[] {
    const all = [...connections];
    try {
      const bytes = copyOf(data);
      return all.map((connection) => connection.sendBytes(bytes));
    } catch (error) {
      return all.map(() => unsent(error));
    }
  }

  /** Sends a datagram outside any connection to `torque://host:port` (Node only); its first byte is 0x20 to 0x7f. */
  sendInfo(target: Target, data: Data): Promise<void> {
    return this.#client.sendInfo(urlOf(target), data);
  }

  /** Sets the key pair; only while there are no connections. */
  setKeyPair(keyPair: KeyPair | string): Promise<void> {
    return this.#client.setKeyPair(typeof keyPair === "string" ? keyPair : keyPair.toSecretText());
  }

  /** Sets what this host shows everyone who asks, at most 511 bytes; signed and public. */
  setChallengeResponse(challengeResponse: Data): Promise<void> {
    return this.#client.setChallengeResponse(challengeResponse);
  }

  /** Makes every datagram pass a simulated link from now on: `delay=40,jitter=10,loss=5%`, or a preset such as `mobile` or `perfect`. */
  setSimulatedLink(link: SimulatedLink | string): void {
    this.#client.setSimulatedLink(link);
  }

  /** Counters of the socket, as in spec/API.md 4. Binds the socket, as they are counted from there. */
  getStats(): Promise<Record<string, number>> {
    return this.#client.stats();
  }

  /** Closes all connections, waits for their last verdicts, and lets go of everything. */
  shutdown(): Promise<void> {
    return this.#client.shutdown();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  #handle(event: SocketEvent): void {
    switch (event.kind) {
      case "request": {
        const { connection: core, publicKey, remote: address, data } = event;
        const origin = event.origin || undefined;
        const connection = new TorqueConnection(this, this.#client, core, { origin });
        this.#keep(connection);
        const request = new ConnectRequest(core, connection, { publicKey, address, origin }, data);
        this.#requests.add(request);
        void connection.closed.then(() => this.#requests.delete(request));
        this.#refuseUnread();
        break;
      }
      case "introduction_requested": {
        const [from, to] = [this.#byClient.get(event.from), this.#byClient.get(event.to)];
        if (from && to) guarded(() => this.onintroductionrequested?.({ from, to, fromIsHost: event.fromIsHost }));
        return;
      }
      case "introduced": {
        const { kind: _, ...outcome } = event;
        const [initiator, host] = [this.#byClient.get(event.initiator), this.#byClient.get(event.host)];
        if (initiator && host) guarded(() => this.onintroduced?.({ ...outcome, initiator, host }));
        return;
      }
      case "draining":
        return guarded(() => this.ondraining?.(event.time));
      case "info":
        return guarded(() => this.oninfo?.(event.remote, event.data));
    }
    this.#requestNews.resolve();
    this.#requestNews = new Deferred();
  }

  /** Refuses what nobody is there to answer. */
  #refuseUnread(): void {
    if (this.#readers > 0 || this.#letWait) return;
    // A request that has just ended may still be among them.
    for (const request of this.#requests) if (request.isAsked) request.refuse(NOBODY_TAKES_REQUESTS);
    this.#requests.clear();
  }

  #keep(connection: TorqueConnection): void {
    this.#connections.add(connection);
    this.#byClient.set(connection.client, connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }
}

/** Resolves as `promise` does. If the signal gives the connection up before, it is closed, and this rejects with the signal's reason. */
async function unlessAborted<T>(connection: TorqueConnection, promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const abort = () => connection.close("given up");
  signal?.addEventListener("abort", abort);
  void connection.closed.then(() => signal?.removeEventListener("abort", abort));
  try {
    return await promise;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
