import { type ConnectionOwner, TorqueConnection, TorqueRequest } from "./connection.js";
import { copyOf, type Data, MAX_SHORT_DATA } from "./data.js";
import { Deferred } from "./deferred.js";
import type { ClosedBy, Command, Delivery, Notice } from "./engine/messages.js";
import { compile } from "./engine/module.js";
import { openPort, type Port } from "./engine/port.js";
import { type ErrorCode, guarded, TorqueError } from "./error.js";
import { type ConnectOptions, engineOptions, linkOf, noteCarrier, type OwnOptions, type ReconnectOptions, type SimulatedLink, type SocketOptions } from "./options.js";
import { isNode } from "./platform.js";
import type { Reconnector } from "./reconnect.js";

/** How a socket ended. */
export interface SocketEnd {
  /** `closed` after `shutdown`; `gateway_lost`, `gateway_draining`, … when its carrier is gone. */
  code: ErrorCode;
  message: string;
}

/** So long a page that goes away waits for its worker to send the closes, on a busy machine too: milliseconds. */
const LEAVE_TIME = 100;

const isPage = typeof document !== "undefined";

/**
 * A socket for real-time programs: packets, each sent once, encrypted, with a verdict on each.
 *
 * Two faces of one object. The first is today's JavaScript:
 *
 * ```ts
 * const connection = await TorqueSocket.connect("torque://tk1…@game.example:28000", { bind: "https://gateway.example:4433" });
 * const delivered = await connection.send("hello");
 * ```
 *
 * The second keeps the names of "The TorqueSocket API" (2010), with numbers for connections and attributes for events:
 *
 * ```ts
 * const socket = new TorqueSocket();
 * socket.on_established = (id) => socket.send_to(id, "hello");
 * socket.on_packet_delivery_notify = (id, packet, delivered) => console.log(packet, delivered);
 * socket.connect("torque://game.example");
 * ```
 *
 * spec/API.md has the whole interface; section 11 is this.
 */
export class TorqueSocket implements AsyncDisposable {
  /** A host has shown its key and data: answer with `accept_challenge` or `close`. While this is not set, any key is taken. */
  on_challenge_response:
    | ((connection: number, public_key: string, challenge_response: Uint8Array, more: { difficulty: number; cipher: string }) => void)
    | null = null;
  /** Somebody wants to connect: answer with `accept_connection` or `close`. */
  on_connect_request:
    | ((connection: number, public_key: string, connect_data: Uint8Array, more: { remote: string; origin: string | undefined }) => void)
    | null = null;
  /** Packets may be sent from now on. */
  on_established:
    | ((connection: number, more: { remote: string; public_key: string; accept_data: Uint8Array; settings: string; replaces: number }) => void)
    | null = null;
  /** The connection has ended: once for each, as its last event. */
  on_close: ((connection: number, reason: Uint8Array, more: { code: ErrorCode; by: ClosedBy }) => void) | null = null;
  /** A packet of the other application. `packet_sequence` rises; what is missing in between was dropped. */
  on_packet: ((connection: number, packet_sequence: number, packet_data: Uint8Array) => void) | null = null;
  /** The verdict on a packet, by the number that `send_to` gave it: once for each, in the order of sending. */
  on_packet_delivery_notify:
    | ((connection: number, packet: number, delivery_successful: boolean, more: { unknown: boolean }) => void)
    | null = null;
  /**
   * The socket's gateway goes away in so many milliseconds. Connections go on, and are closed a second before that at the latest;
   * the socket is over with the last of them. It makes no new ones: another socket can, at another gateway.
   */
  on_draining: ((milliseconds: number) => void) | null = null;
  /** A datagram outside any connection (Node only). Its source may be forged: never answer it with more bytes than it has. */
  on_info_packet: ((remote: string, data: Uint8Array) => void) | null = null;

  /** Resolves when the socket is bound, and binds it; rejects with a {@link TorqueError} that says why it cannot be. */
  get ready(): Promise<void> {
    // Not at once: who takes it first may name the place next, by `bind(address)`.
    queueMicrotask(() => this.#start());
    return this.#ready.promise;
  }
  /** Resolves when the socket is over. Every connection has been told its end before. */
  get closed(): Promise<SocketEnd> {
    return this.#closed.promise;
  }

  readonly #options: OwnOptions;
  readonly #inWorker: boolean;
  readonly #connections = new Map<number, Entry>();
  readonly #replies = new Map<number, { resolve(value: unknown): void; reject(error: TorqueError): void }>();
  /** Those that wait for `requests`; the core bounds how many there are. */
  readonly #requests = new Map<number, TorqueRequest>();
  #requestWaiters: (() => void)[] = [];
  /** How many iterate over `requests`. */
  #iterations = 0;
  #port: Port | undefined;
  #begun = false;
  #bound: Extract<Notice, { kind: "bound" }> | undefined;
  #end: SocketEnd | undefined;
  /** When its gateway is gone. */
  #goneAt = Infinity;
  /** What was asked for before the socket was bound. */
  #early: Command[] = [];
  #nextId = 1;
  #nextRequest = 1;
  readonly #ready = new Deferred<void>();
  readonly #closed = new Deferred<SocketEnd>();
  /** The event with which the page went away, when everybody has been told. */
  #left: Event | undefined;
  /** Firefox cuts the script short that runs when its user closes the tab, once: what the first leaves undone is the second's. */
  readonly #leave = [1, 2].map(() => (event: Event) => this.#leavePage(event));

  /**
   * A socket. It is bound as `options.bind` says with the first call that needs it, with {@link TorqueSocket.ready}, or by
   * {@link TorqueSocket.bind}.
   */
  constructor(options: SocketOptions = {}) {
    this.#inWorker = options.worker ?? (typeof Worker !== "undefined" && !isNode);
    const { challengeResponse, simulatedLink, ...rest } = options;
    this.#options = rest;
    if (challengeResponse !== undefined) this.#options.challengeResponse = copyOf(challengeResponse);
    if (simulatedLink !== undefined) this.#options.simulatedLink = linkOf(simulatedLink);
    // Whoever does not look at `ready` looks at `closed`.
    this.#ready.promise.catch(() => undefined);
  }

  /**
   * Connects from a socket of its own, which is over with the connection. Rejects with a {@link TorqueError}, also with
   * `reconnect`, which is for connections that were made.
   */
  static async connect(url: string, options: SocketOptions & ConnectOptions & ReconnectOptions = {}): Promise<TorqueConnection> {
    const { reconnect, ...rest } = options;
    if (!reconnect) return TorqueSocket.#connectOnce(url, rest);
    if (rest.connectData !== undefined) rest.connectData = copyOf(rest.connectData);
    const { Reconnector } = await import("./reconnect.js");
    const again = (by: Reconnector, signal: AbortSignal) => TorqueSocket.#connectOnce(url, { ...rest, signal }, by);
    const reconnector = new Reconnector(reconnect === true ? {} : reconnect, rest.signal, again);
    try {
      return await TorqueSocket.#connectOnce(url, rest, reconnector);
    } catch (error) {
      reconnector.stop();
      throw error;
    }
  }

  static async #connectOnce(url: string, options: SocketOptions & ConnectOptions, reconnector?: Reconnector): Promise<TorqueConnection> {
    const { connectData, settings, trust, signal, ...rest } = options;
    const socket = new TorqueSocket({ acceptIncoming: false, ...rest });
    const connect: ConnectOptions = {};
    if (connectData !== undefined) connect.connectData = connectData;
    if (settings !== undefined) connect.settings = settings;
    if (trust !== undefined) connect.trust = trust;
    if (signal !== undefined) connect.signal = signal;
    try {
      const connection = await socket.#open(url, connect, reconnector);
      void connection.closed.then(() => socket.shutdown());
      return connection;
    } catch (error) {
      void socket.shutdown();
      throw error;
    }
  }

  /** A fresh key pair's secret text, `ts1…`. Whoever has it is this socket. */
  static async generateKeyPair(): Promise<string> {
    const { Core } = await import("./engine/core.js");
    return (await Core.load()).generateKeyPair();
  }

  /** The public key, `tk1…`, of a secret text. */
  static async publicKeyOf(secretText: string): Promise<string> {
    const { Core } = await import("./engine/core.js");
    return (await Core.load()).publicKeyOf(secretText);
  }

  /**
   * The socket's address as others see it, when bound: `203.0.113.5:28000`. Of a socket at every address of its machine, the one
   * that others most likely reach it by.
   */
  get address(): string {
    return this.#bound?.address ?? "";
  }

  /** Where others connect to, when bound: `torque://tk1…@203.0.113.5:28000`. */
  get url(): string {
    return this.#bound ? `torque://${this.publicKey}@${this.address}` : "";
  }

  /** The socket's public key, when bound. */
  get publicKey(): string {
    return this.#bound?.publicKey ?? "";
  }

  /** What carries its datagrams, when bound: `webtransport`, `websocket`, `udp` or `direct-sockets`. */
  get carrier(): string {
    return this.#bound?.carrier ?? "";
  }

  /** The public key of its gateway, when bound to one: what hosts list as trusted. */
  get gatewayKey(): string {
    return this.#bound?.gatewayKey ?? "";
  }

  /** Milliseconds until the socket's gateway is gone, when that goes away (`on_draining`); else infinite. */
  get timeLeft(): number {
    return Math.max(this.#goneAt - performance.now(), 0);
  }

  /** Connects. Resolves when established; rejects with a {@link TorqueError} that says why not, and holds the host's reason, or with the reason of the signal that gave it up. */
  open(url: string, options: ConnectOptions = {}): Promise<TorqueConnection> {
    return this.#open(url, options);
  }

  async #open(url: string, options: ConnectOptions, reconnector?: Reconnector): Promise<TorqueConnection> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { connection } = this.#begin(url, options, true);
    if (reconnector) connection.reconnectBy(reconnector);
    const abort = () => connection.close("given up");
    signal?.addEventListener("abort", abort);
    void connection.closed.then(() => signal?.removeEventListener("abort", abort));
    try {
      await connection.ready;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
    return connection;
  }

  /**
   * Those who want to connect, as they come. While somebody iterates, `on_connect_request` is not called; those who ask while
   * nobody does, and that is not set, wait here.
   */
  async *requests(): AsyncGenerator<TorqueRequest, void, undefined> {
    this.#iterations++;
    try {
      void this.bind().catch(() => undefined);
      for (;;) {
        for (const [id, request] of this.#requests) {
          this.#requests.delete(id);
          yield request;
        }
        if (this.#end) return;
        await new Promise<void>((wake) => this.#requestWaiters.push(wake));
      }
    } finally {
      this.#iterations--;
    }
  }

  /** Makes every datagram pass a simulated link from now on: `delay=40,jitter=10,loss=5%`, or `perfect`. */
  setSimulatedLink(link: SimulatedLink | string): void {
    if (this.#begun) this.#post({ kind: "set_simulated_link", link: linkOf(link) });
    else this.#options.simulatedLink = linkOf(link);
  }

  /** Counters of the socket, as in spec/API.md 4. */
  getStats(): Promise<Record<string, number>> {
    return this.#ask((request) => ({ kind: "stats", request })) as Promise<Record<string, number>>;
  }

  /** Closes all connections, waits for their last verdicts, and lets go of everything. */
  async shutdown(): Promise<void> {
    if (!this.#end) {
      this.#port?.post({ kind: "shutdown" });
      // Before the socket is bound there is nobody to say goodbye to.
      if (!this.#bound) this.#ended({ code: "closed", message: "shut down" });
    }
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  // --- the names of 2010

  /** Binds the socket; see {@link SocketOptions.bind}. Once: another place is another socket. */
  bind(address?: string): Promise<void> {
    if (this.#begun && address !== undefined && address !== this.#options.bind) {
      return Promise.reject(new TorqueError("already_bound", "a socket is bound once: make another one"));
    }
    if (address !== undefined) this.#options.bind = address;
    this.#start();
    return this.#ready.promise;
  }

  /** Sets the key pair, `ts1…`; only while there are no connections. */
  async set_key_pair(secret_text: string): Promise<void> {
    if (!this.#begun) this.#options.keyPair = secret_text;
    else {
      const publicKey = await this.#ask((request) => ({ kind: "set_key_pair", text: secret_text, request }));
      if (this.#bound) this.#bound = { ...this.#bound, publicKey: publicKey as string };
    }
  }

  /** Sets what this host shows everybody who asks, at most 511 bytes; signed and public. */
  async set_challenge_response(challenge_response: Data): Promise<void> {
    const data = copyOf(challenge_response, MAX_SHORT_DATA);
    if (!this.#begun) this.#options.challengeResponse = data;
    else await this.#ask((request) => ({ kind: "set_challenge_response", data, request }));
  }

  /** Begins to connect and returns the connection's number. What follows are events. */
  connect(url: string, connect_data?: Data, protocol_settings?: string): number {
    const options: ConnectOptions = {};
    if (connect_data !== undefined) options.connectData = connect_data;
    if (protocol_settings !== undefined) options.settings = protocol_settings;
    return this.#begin(url, options, false).connection.id;
  }

  /** Accepts the key and data that `on_challenge_response` showed. */
  accept_challenge(pending_connection: number): void {
    this.#entry(pending_connection);
    this.#post({ kind: "accept_challenge", id: pending_connection });
  }

  /** Accepts what `on_connect_request` told of. */
  accept_connection(pending_connection: number, accept_data?: Data): void {
    this.#entry(pending_connection);
    this.#post({ kind: "accept_connection", id: pending_connection, data: copyOf(accept_data, MAX_SHORT_DATA) });
  }

  /** Closes or refuses a connection, or gives it up. */
  close(connection: number, reason?: Data): void {
    this.#connections.get(connection)?.connection.close(reason);
  }

  /**
   * Sends a packet and returns its number: packets are counted for each connection, from 1. Throws a {@link TorqueError} if
   * nothing was sent: `window_full`, `too_large`, `not_established`, `closed`.
   */
  send_to(connection: number, packet_data: Data): number {
    return this.#entry(connection).send(packet_data);
  }

  /** Sends a datagram outside any connection to `torque://host:port` (Node only); its first byte is 0x20 to 0x7f. */
  async send_info(url: string, data: Data): Promise<void> {
    await this.#ask((request) => ({ kind: "send_info", remote: url, data: copyOf(data), request }));
  }

  // --- inside

  #entry(id: number): Entry {
    const entry = this.#connections.get(id);
    if (!entry) throw new TorqueError("closed", `connection ${id} has ended, or never was`);
    return entry;
  }

  #begin(url: string, options: ConnectOptions, isModern: boolean): Entry {
    if (this.#end) throw new TorqueError(this.#end.code, `the socket is over: ${this.#end.message}`);
    const { settings = "", trust = this.on_challenge_response ? "ask" : "anyone" } = options;
    if (trust !== "anyone" && !(trust === "ask" && this.on_challenge_response)) {
      throw new TorqueError("invalid_argument", 'trust is "anyone", or "ask" if on_challenge_response is set; a key is pinned in the URL');
    }
    const data = copyOf(options.connectData);
    const id = this.#nextId;
    this.#nextId += 2;
    const entry = this.#add(id, undefined, isModern);
    this.#post({ kind: "connect", id, url: `${url}`, data, settings, trust });
    return entry;
  }

  #add(id: number, origin: string | undefined, isModern: boolean): Entry {
    const owner: ConnectionOwner = {
      socket: this,
      post: (id, command) => {
        if (command.kind !== "close") this.#post({ ...command, id } as Command);
        else if (this.#bound) this.#post({ kind: "close", id, reason: command.data });
        else this.#giveUp(id);
      },
      // There are none when it is over, and none when its socket is.
      stats: (id) => this.#ask((request) => ({ kind: "connection_stats", id, request })).catch(() => undefined) as never,
    };
    const entry = new Entry(owner, new TorqueConnection(owner, id, origin), isModern);
    this.#connections.set(id, entry);
    return entry;
  }

  /** Ends what was begun before the socket is bound, of which the engine does not know. */
  #giveUp(id: number): void {
    this.#early = this.#early.filter((command) => !("id" in command && command.id === id));
    const close = { kind: "close", id, code: "closed", message: "given up", by: "application", reason: new Uint8Array() } as const;
    // An event, not a part of the call.
    queueMicrotask(() => this.#handle(close));
  }

  #start(): void {
    if (this.#begun || this.#end) return;
    this.#begun = true;
    if (isPage) for (const leave of this.#leave) addEventListener("pagehide", leave);
    const port = openPort(this.#inWorker, (notices) => notices.forEach((notice) => this.#handle(notice)));
    Promise.all([port, compile()])
      .then(([port, module]) => {
        // Shut down meanwhile.
        if (this.#end) return port.end();
        this.#port = port;
        port.post({ kind: "begin", options: engineOptions(this.#options), module });
      })
      .catch((error: unknown) => {
        const { code, message } = error instanceof TorqueError ? error : new TorqueError("internal", String(error));
        void port.then((port) => port.end(), () => undefined);
        this.#ended({ code, message });
      });
  }

  #post(command: Command): void {
    this.#start();
    if (this.#bound) this.#port?.post(command);
    else if (!this.#end) this.#early.push(command);
  }

  #ask(make: (request: number) => Command): Promise<unknown> {
    if (this.#end) return Promise.reject(new TorqueError(this.#end.code, this.#end.message));
    const request = this.#nextRequest++;
    return new Promise((resolve, reject) => {
      this.#replies.set(request, { resolve, reject });
      this.#post(make(request));
    });
  }

  #handle(notice: Notice): void {
    if (this.#end) return;
    switch (notice.kind) {
      case "bound":
        this.#bound = notice;
        noteCarrier(this.#options, notice.carrier);
        this.#ready.resolve();
        for (const command of this.#early.splice(0)) this.#port?.post(command);
        return;
      case "ended":
        return this.#ended({ code: notice.code, message: notice.message });
      case "reply": {
        const reply = this.#replies.get(notice.request);
        this.#replies.delete(notice.request);
        if (notice.error) reply?.reject(new TorqueError(notice.error.code, notice.error.message));
        else reply?.resolve(notice.value);
        return;
      }
      case "draining":
        this.#goneAt = performance.now() + notice.time;
        return guarded(() => this.on_draining?.(notice.time));
      case "info":
        return guarded(() => this.on_info_packet?.(notice.remote, notice.data));
      case "request":
        return this.#requested(notice);
      case "close":
        return this.#closedOne(notice);
      default:
        this.#connections.get(notice.id)?.handle(this, notice);
    }
  }

  #requested(notice: Extract<Notice, { kind: "request" }>): void {
    const { id, publicKey, remote, data } = notice;
    const origin = notice.origin || undefined;
    const isModern = this.#iterations > 0 || !this.on_connect_request;
    const entry = this.#add(id, origin, isModern);
    if (!isModern) return guarded(() => this.on_connect_request?.(id, publicKey, data, { remote, origin }));
    this.#requests.set(id, new TorqueRequest(entry.owner, entry.connection, publicKey, remote, data, origin));
    this.#wakeRequests();
  }

  #closedOne(notice: Extract<Notice, { kind: "close" }>): void {
    const entry = this.#connections.get(notice.id);
    this.#connections.delete(notice.id);
    this.#requests.delete(notice.id);
    entry?.handle(this, notice);
  }

  #ended(end: SocketEnd): void {
    if (this.#end) return;
    this.#end = end;
    const error = new TorqueError(end.code, end.message);
    // Those whose beginning never reached the engine.
    const { code, message } = end;
    for (const id of [...this.#connections.keys()]) {
      this.#closedOne({ kind: "close", id, code, message, by: "socket", reason: new Uint8Array() });
    }
    for (const reply of this.#replies.values()) reply.reject(error);
    this.#early = [];
    if (isPage) for (const leave of this.#leave) removeEventListener("pagehide", leave);
    this.#port?.end();
    this.#ready.reject(error);
    this.#closed.resolve(end);
    this.#wakeRequests();
  }

  #wakeRequests(): void {
    const waiters = this.#requestWaiters;
    this.#requestWaiters = [];
    for (const wake of waiters) wake();
  }

  /** The tab is being closed: the others should hear of it now, not after five pings. */
  #leavePage(event: Event): void {
    if (this.#left === event || !this.#bound || this.#end || this.#connections.size === 0) return;
    this.#port?.post({ kind: "leave" });
    this.#port?.flush();
    // The worker is ended with its page; it gets the time that it needs to send.
    if (this.#inWorker) for (const until = performance.now() + LEAVE_TIME; performance.now() < until; );
    this.#left = event;
  }
}

/** A connection with the count that the names of 2010 go by. */
class Entry {
  #sent = 0;
  #judged = 0;

  constructor(
    readonly owner: ConnectionOwner,
    readonly connection: TorqueConnection,
    /** Whether it is read as a `TorqueConnection`; else its packets go to `on_packet`. */
    readonly isModern: boolean,
  ) {
    if (!isModern) connection.onpacket = () => undefined;
  }

  send(data: Data): number {
    // Its verdict is told by number.
    void this.connection.sendOrThrow(data);
    return ++this.#sent;
  }

  handle(socket: TorqueSocket, notice: Notice): void {
    this.connection.handle(notice);
    if (notice.kind === "challenge") {
      const { id, publicKey, data, difficulty, cipher } = notice;
      return guarded(() => socket.on_challenge_response?.(id, publicKey, data, { difficulty, cipher }));
    }
    if (this.isModern || !("id" in notice)) return;
    const { id } = notice;
    switch (notice.kind) {
      case "established": {
        // It may have been given up meanwhile.
        if (!this.connection.isOpen) return;
        const { remote, publicKey: public_key, data: accept_data, settings, replaces } = notice;
        return guarded(() => socket.on_established?.(id, { remote, public_key, accept_data, settings, replaces }));
      }
      case "packet":
        return guarded(() => socket.on_packet?.(id, notice.sequence, notice.data));
      case "verdict":
        return this.#judge(socket, notice.delivery);
      case "close":
        // Those that were sent after the engine had told the end.
        while (this.#judged < this.#sent) this.#judge(socket, "unknown");
        return guarded(() => socket.on_close?.(id, notice.reason, { code: notice.code, by: notice.by }));
    }
  }

  #judge(socket: TorqueSocket, delivery: Delivery): void {
    const packet = ++this.#judged;
    const { id } = this.connection;
    const more = { unknown: delivery === "unknown" };
    guarded(() => socket.on_packet_delivery_notify?.(id, packet, delivery === "delivered", more));
  }
}
