import { ClientConnection, type ConnectionCommand } from "./client_connection.js";
import { copyOf, type Data, MAX_SHORT_DATA } from "./data.js";
import { Deferred } from "./deferred.js";
import type { AttemptTrust, Command, ConnectionFigures, Notice } from "./engine/messages.js";
import { compile } from "./engine/module.js";
import { openPort, type Port } from "./engine/port.js";
import { type ErrorCode, TorqueError } from "./error.js";
import { engineOptions, linkOf, noteCarrier, type OwnOptions, type SimulatedLink, type SocketOptions } from "./options.js";
import { isNode } from "./platform.js";

/** How a socket ended. */
export interface SocketEnd {
  /** `closed` after `shutdown`; `gateway_lost`, `gateway_draining`, … when its carrier is gone. */
  code: ErrorCode;
  message: string;
}

/** What a socket reports to the class that applications see. @internal */
export type SocketEvent =
  | (Extract<Notice, { kind: "request" }> & { connection: ClientConnection })
  | Extract<Notice, { kind: "draining" | "info" }>
  | { kind: "introduction_requested"; from: ClientConnection; to: ClientConnection; fromIsHost: boolean }
  | (Extract<Notice, { kind: "introduced" }> & Introduced)
  /** The socket is over. Every connection has reported its close before. */
  | { kind: "ended" };

/** How an attempt to connect begins. @internal */
export interface Attempt {
  url: string;
  data: Uint8Array;
  settings: string;
  /**
   * What happens with a key that the URL does not name: the connection reports a challenge, or any key is accepted. With `ask_always` it
   * reports one for the key in the URL too.
   */
  trust: AttemptTrust;
}

/** What those who ask are told where nobody is there to answer. @internal */
export const NOBODY_TAKES_REQUESTS = "this program takes no requests";

/** The parties of an introduction. @internal */
export interface Introduced {
  initiator: ClientConnection;
  host: ClientConnection;
}

/** How long a page that goes away waits for its worker to send the closes, on a busy machine too: milliseconds. */
const LEAVE_TIME = 100;

const isPage = typeof document !== "undefined";

/**
 * One socket on the page's side of the engine: passes commands on, keeps the connections, reports events. Both classes that
 * applications see, `TorqueSocket` and `DraftSocket`, stand on it.
 *
 * @internal
 */
export class Client {
  /** What was said when the socket was bound. */
  bound: Extract<Notice, { kind: "bound" }> | undefined;
  /** How the socket ended, once it has. */
  end: SocketEnd | undefined;
  /** Whose introductions they are, by their ids. */
  readonly introductions = new Map<string, Introduced>();
  /** Whether it can introduce and be introduced. */
  readonly hasIntroductions: boolean;

  readonly #options: OwnOptions;
  readonly #inWorker: boolean;
  readonly #connections = new Map<number, ClientConnection>();
  readonly #replies = new Map<number, { resolve(value: unknown): void; reject(error: TorqueError): void }>();
  #port: Port | undefined;
  #begun = false;
  /** When its gateway is gone. */
  #goneAt = Infinity;
  /** Commands from before the socket was bound. */
  #early: Command[] = [];
  #nextId = 1;
  #nextRequest = 1;
  readonly #ready = new Deferred<void>();
  readonly #closed = new Deferred<SocketEnd>();
  /** The event with which the page went away, when all hosts have been told. */
  #left: Event | undefined;
  /** Firefox cuts off the first script that runs when its user closes the tab: the second listener does what the first has left undone. */
  readonly #leave = [1, 2].map(() => (event: Event) => this.#leavePage(event));

  constructor(options: SocketOptions, private readonly listener: (event: SocketEvent) => void) {
    this.#inWorker = options.worker ?? (typeof Worker !== "undefined" && !isNode);
    this.hasIntroductions = isNode || Boolean(options.introductions);
    const { challengeResponse, simulatedLink, ...rest } = options;
    this.#options = rest;
    if (challengeResponse !== undefined) this.#options.challengeResponse = copyOf(challengeResponse);
    if (simulatedLink !== undefined) this.#options.simulatedLink = linkOf(simulatedLink);
    // An application that does not look at `ready` looks at `closed`.
    this.#ready.promise.catch(() => undefined);
  }

  /** Resolves when the socket is bound, and binds it. */
  get ready(): Promise<void> {
    // Not at once: the caller may name a place next, by `bind(address)`.
    queueMicrotask(() => this.#start());
    return this.#ready.promise;
  }

  /** Resolves when the socket is over. */
  get closed(): Promise<SocketEnd> {
    return this.#closed.promise;
  }

  get publicKey(): string {
    return this.bound?.publicKey ?? "";
  }

  get address(): string {
    return this.bound?.address ?? "";
  }

  get url(): string {
    return this.bound ? `torque://${this.publicKey}@${this.address}` : "";
  }

  /** Milliseconds until its gateway is gone; infinite unless that goes away. */
  get timeLeft(): number {
    return Math.max(this.#goneAt - performance.now(), 0);
  }

  /** Binds the socket, once. */
  bind(address?: string): Promise<void> {
    if (this.#begun && address !== undefined && address !== this.#options.bind) {
      return Promise.reject(new TorqueError("already_bound", "a socket is bound once: make another one"));
    }
    if (address !== undefined) this.#options.bind = address;
    this.#start();
    return this.#ready.promise;
  }

  /** Begins to connect. */
  connect(attempt: Attempt): ClientConnection {
    if (this.end) throw new TorqueError(this.end.code, `the socket is over: ${this.end.message}`);
    return this.begin((id) => ({ kind: "connect", id, ...attempt }));
  }

  /** Begins a connection by this command. */
  begin(make: (id: number) => Command): ClientConnection {
    const id = this.#nextId;
    this.#nextId += 2;
    const connection = this.#add(id);
    this.#post(make(id));
    return connection;
  }

  /** The connection of this number, until it has ended. */
  connection(id: number): ClientConnection | undefined {
    return this.#connections.get(id);
  }

  async setKeyPair(secretText: string): Promise<void> {
    if (!this.#begun) this.#options.keyPair = secretText;
    else {
      const publicKey = await this.ask((request) => ({ kind: "set_key_pair", text: secretText, request }));
      if (this.bound) this.bound = { ...this.bound, publicKey: publicKey as string };
    }
  }

  async setChallengeResponse(challengeResponse: Data): Promise<void> {
    const data = copyOf(challengeResponse, MAX_SHORT_DATA);
    if (!this.#begun) this.#options.challengeResponse = data;
    else await this.ask((request) => ({ kind: "set_challenge_response", data, request }));
  }

  setSimulatedLink(link: SimulatedLink | string): void {
    if (this.#begun) this.#post({ kind: "set_simulated_link", link: linkOf(link) });
    else this.#options.simulatedLink = linkOf(link);
  }

  async sendInfo(url: string, data: Data): Promise<void> {
    await this.ask((request) => ({ kind: "send_info", remote: url, data: copyOf(data), request }));
  }

  stats(): Promise<Record<string, number>> {
    return this.ask((request) => ({ kind: "stats", request })) as Promise<Record<string, number>>;
  }

  /** Figures of a connection; `undefined` where there are none. */
  connectionStats(id: number): Promise<ConnectionFigures | undefined> {
    const figures = this.ask((request) => ({ kind: "connection_stats", id, request })) as Promise<ConnectionFigures | undefined>;
    // There are none when it is over, nor when its socket is.
    return figures.catch(() => undefined);
  }

  async shutdown(): Promise<void> {
    if (!this.end) {
      this.#port?.post({ kind: "shutdown" });
      // Before the socket is bound nobody has to be told.
      if (!this.bound) this.#ended({ code: "closed", message: "shut down" });
    }
    await this.closed;
  }

  #add(id: number, isRequest = false): ClientConnection {
    const connection = new ClientConnection(id, (command) => this.#postFor(command), isRequest);
    this.#connections.set(id, connection);
    return connection;
  }

  #postFor(command: ConnectionCommand): void {
    if (command.kind === "close" && !this.bound) this.#giveUp(command.id);
    else this.#post(command);
  }

  /** Ends what was begun before the socket is bound, of which the engine does not know. */
  #giveUp(id: number): void {
    this.#early = this.#early.filter((command) => !("id" in command && command.id === id));
    const close = { kind: "close", id, code: "closed", message: "given up", by: "application", reason: new Uint8Array() } as const;
    // An event comes after the call, not within it.
    queueMicrotask(() => this.#handle(close));
  }

  #start(): void {
    if (this.#begun || this.end) return;
    this.#begun = true;
    if (isPage) for (const leave of this.#leave) addEventListener("pagehide", leave);
    const port = openPort(this.#inWorker, (notices) => notices.forEach((notice) => this.#handle(notice)));
    Promise.all([port, compile(this.hasIntroductions)])
      .then(([port, module]) => {
        // Shut down meanwhile.
        if (this.end) return port.end();
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
    if (this.bound) this.#port?.post(command);
    else if (!this.end) this.#early.push(command);
  }

  /** Posts a command and waits for the answer. `note` hears the answer before anything that follows it. */
  ask(make: (request: number) => Command, note: (value: unknown) => void = () => undefined): Promise<unknown> {
    if (this.end) return Promise.reject(new TorqueError(this.end.code, this.end.message));
    const request = this.#nextRequest++;
    return new Promise((resolve, reject) => {
      // If this throws, no reply is awaited.
      const command = make(request);
      this.#replies.set(request, { resolve: (value) => { note(value); resolve(value); }, reject });
      this.#post(command);
    });
  }

  #handle(notice: Notice): void {
    if (this.end) return;
    switch (notice.kind) {
      case "bound":
        this.bound = notice;
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
        return this.listener(notice);
      case "info":
        return this.listener(notice);
      case "request": {
        const introduced = this.#connections.get(notice.id);
        if (introduced) return introduced.handle(notice);
        return this.listener({ ...notice, connection: this.#add(notice.id, true) });
      }
      case "introduction_requested": {
        const [from, to] = [this.#connections.get(notice.id), this.#connections.get(notice.to)];
        if (from && to) this.listener({ kind: notice.kind, from, to, fromIsHost: notice.fromIsHost });
        return;
      }
      case "introduced": {
        const parties = this.introductions.get(notice.introduction);
        if (parties) this.listener({ ...notice, ...parties });
        // Only a relayed one may still become direct.
        if (notice.result !== "relayed") this.introductions.delete(notice.introduction);
        return;
      }
      default: {
        const connection = this.#connections.get(notice.id);
        if (notice.kind === "close") this.#connections.delete(notice.id);
        connection?.handle(notice);
      }
    }
  }

  #ended(end: SocketEnd): void {
    if (this.end) return;
    this.end = end;
    const { code, message } = end;
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    // Connections whose beginning never reached the engine.
    for (const connection of connections) {
      connection.handle({ kind: "close", id: connection.id, code, message, by: "socket", reason: new Uint8Array() });
    }
    const error = new TorqueError(code, message);
    for (const reply of this.#replies.values()) reply.reject(error);
    this.#early = [];
    if (isPage) for (const leave of this.#leave) removeEventListener("pagehide", leave);
    this.#port?.end();
    this.#ready.reject(error);
    this.#closed.resolve(end);
    this.listener({ kind: "ended" });
  }

  /** The tab is being closed: its hosts should hear of it now, not after five pings. */
  #leavePage(event: Event): void {
    if (this.#left === event || !this.bound || this.end || this.#connections.size === 0) return;
    this.#port?.post({ kind: "leave" });
    this.#port?.flush();
    // The worker is ended with its page; it gets the time that it needs to send.
    if (this.#inWorker) for (const until = performance.now() + LEAVE_TIME; performance.now() < until; );
    this.#left = event;
  }
}
